"""Makes the values of an evaluation from the columns that the engine gives, in one step.

Answers how rows are put together; must not know what they mean: their types are given.
"""

cimport cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

from ext.column cimport as_list


def values_of(known, keys):
    """Look many values up at once.

    Args:
        known: a dict, which may make what it misses.
        keys: a sequence.

    Returns:
        A tuple with the value of each key.

    Raises:
        KeyError: a key is neither known nor made.
    """
    cdef list asked = as_list(keys), found = []
    cdef PyObject *kept
    for key in asked:
        kept = PyDict_GetItemWithError(known, key)
        found.append(<object> kept if kept != NULL else known[key])
    return tuple(found)


cdef class Lines:
    """Makes lines, each with its runs and adjustments.

    Args:
        line: called with an amount, a tuple of runs and a tuple of adjustments.
        run: called with its three values.
        adjustment: called with its three values.
    """

    cdef object line
    cdef object run
    cdef object adjustment

    def __init__(self, object line, object run, object adjustment):
        self.line = line
        self.run = run
        self.adjustment = adjustment

    @cython.boundscheck(True)
    def of(self, columns):
        """Make the lines.

        Args:
            columns: of lines the amounts, how many runs and how many adjustments each has; then
                three of runs and three of adjustments.

        Returns:
            A tuple with a line for each row; None for a line that has no run.

        Raises:
            IndexError: there are fewer runs or adjustments than the lines have.
        """
        cdef list amounts, run_counts, adjustment_counts, runs, adjustments, made = []
        cdef Py_ssize_t n, run_count, adjustment_count, run = 0, adjustment = 0
        amounts, run_counts, adjustment_counts = [as_list(column) for column in columns[:3]]
        runs = [as_list(column) for column in columns[3:6]]
        adjustments = [as_list(column) for column in columns[6:9]]
        for n in range(len(amounts)):
            run_count, adjustment_count = run_counts[n], adjustment_counts[n]
            made.append(
                self.line(
                    amounts[n],
                    _rows(self.run, runs, run, run_count),
                    _rows(self.adjustment, adjustments, adjustment, adjustment_count),
                )
                if run_count
                else None
            )
            run += run_count
            adjustment += adjustment_count
        return tuple(made)


@cython.boundscheck(True)
cdef tuple _rows(object row, list columns, Py_ssize_t first, Py_ssize_t count):
    """Some rows of three columns."""
    cdef list left = columns[0], middle = columns[1], right = columns[2]
    cdef Py_ssize_t n
    if count == 0:
        return ()
    if count == 1:
        return (row(left[first], middle[first], right[first]),)
    return tuple([row(left[n], middle[n], right[n]) for n in range(first, first + count)])
