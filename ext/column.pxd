"""Columns that kernels are given: lists, or what stands for one."""


cdef inline list as_list(column):
    """A column as a list; the same one if it is one, so whoever asks must not change it."""
    return column if type(column) is list else list(column)
