"""The promotions that could apply: those a set on the receipt touches, or a token calls."""

cdef Py_ssize_t _mark(Scene *scene, const int64_t *start, const int64_t *end) noexcept:
    """Set the bits of some promotions; say how many were new."""
    cdef Py_ssize_t count = 0
    cdef uint64_t bit
    cdef uint64_t *word
    while start != end:
        word = &scene.candidate_bits[start[0] >> 6]
        bit = <uint64_t> 1 << (start[0] & 63)
        if not word[0] & bit:
            word[0] |= bit
            scene.candidate_words[start[0] >> 12] |= <uint64_t> 1 << ((start[0] >> 6) & 63)
            count += 1
        start += 1
    return count


cdef Py_ssize_t _mark_called(Scene *scene, const int64_t *tokens, int64_t tokens_count) noexcept:
    cdef const Plan *plan = &scene.plan
    cdef Py_ssize_t n, count = 0
    for n in range(tokens_count):
        count += _mark(
            scene,
            plan.called + plan.called_starts[tokens[n]],
            plan.called + plan.called_starts[tokens[n] + 1],
        )
    return count


cdef int _find_candidates(Scene *scene) except -1:
    """List the promotions that a set on the receipt touches or a token calls, ascending.

    The bits are read and cleared by words of bits and words of words: what it costs is the
    candidates, not the promotions.
    """
    cdef const Plan *plan = &scene.plan
    cdef Py_ssize_t n, count = 0
    cdef int64_t word, number
    cdef uint64_t *words
    for n in range(scene.item_sets_count):
        number = scene.item_sets[n].set_number
        count += _mark(
            scene,
            plan.touched + plan.touched_starts[number],
            plan.touched + plan.touched_starts[number + 1],
        )
    count += _mark_called(scene, scene.token_numbers, scene.header.tokens_count)
    count += _mark_called(scene, scene.coupon_numbers, scene.header.coupons_count)
    scene.candidates = _int64s(&scene.kept, count)
    scene.candidates_count = 0
    for n in range((plan.promotions_count >> 12) + 1):
        words = &scene.candidate_words[n]
        while words[0]:
            word = (n << 6) + loyalty_lowest_bit(words[0])
            words[0] &= words[0] - 1
            while scene.candidate_bits[word]:
                number = (word << 6) + loyalty_lowest_bit(scene.candidate_bits[word])
                scene.candidate_bits[word] &= scene.candidate_bits[word] - 1
                scene.candidates[scene.candidates_count] = number
                scene.candidates_count += 1
    if scene.header.only_count >= 0:
        _keep_only(scene)
    return 0


cdef void _keep_only(Scene *scene) noexcept:
    """Drop the candidates that may not take part; both lists are ascending."""
    cdef Py_ssize_t n, at = 0, kept = 0
    for n in range(scene.candidates_count):
        while at < scene.header.only_count and scene.only[at] < scene.candidates[n]:
            at += 1
        if at < scene.header.only_count and scene.only[at] == scene.candidates[n]:
            scene.candidates[kept] = scene.candidates[n]
            kept += 1
    scene.candidates_count = kept
