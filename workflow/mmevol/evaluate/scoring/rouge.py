"""ROUGE-L between two texts, as the package that MMSInst's evaluator calls computes it.

Source: Lin 2004, ROUGE (union LCS over sentences), with that package's reading: sentences end at full stops, words
count once, a sentence of blanks is one empty word.
"""

EPSILON = 1e-8


def rouge_l(hypothesis: str, reference: str) -> float:
    """F-measure, 0 to 1; 0 where one of the texts is empty."""
    said, wanted = _sentences(hypothesis), _sentences(reference)
    n, m = (len({word for words in said for word in words}), len({word for words in wanted for word in words}))
    if not n or not m:
        return 0.0
    common: set[str] = set()
    for words in wanted:
        for other in said:
            common |= set(_longest_common(words, other))
    recall, precision = len(common) / m, len(common) / n
    return 2 * precision * recall / (precision + recall + EPSILON)


def _sentences(text: str) -> list[list[str]]:
    return [sentence.split() or [""] for sentence in text.split(".") if sentence]


def _longest_common(left: list[str], right: list[str]) -> list[str]:
    """A longest common subsequence; of several, the one found from the ends, leaving a word of `right` before `left`'s."""
    lengths = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, word in enumerate(left, 1):
        for j, other in enumerate(right, 1):
            lengths[i][j] = lengths[i - 1][j - 1] + 1 if word == other else max(lengths[i - 1][j], lengths[i][j - 1])
    found, i, j = [], len(left), len(right)
    while i and j:
        if left[i - 1] == right[j - 1]:
            found.append(left[i - 1])
            i, j = i - 1, j - 1
        elif lengths[i - 1][j] > lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return found[::-1]
