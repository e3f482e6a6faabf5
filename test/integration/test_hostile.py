"""The hostile rows, each as one test: see test/hostile."""
import unittest

from test.hostile import control, egress, exhaustion, framing, process, upstream  # noqa: F401  (they register their rows)
from test.hostile.rows import ROWS, Target, run
from test.support.proxy import IS_ENVOY


@unittest.skipIf(IS_ENVOY, "the rows are about us; test/hostile/run.py --address tests another proxy")
class Hostile(unittest.TestCase):
    """A test_row_NN for every row."""

    def run_row(self, number):
        with Target() as target:
            state, text = run(number, target)
        if state == "not applicable":
            self.skipTest(text)
        self.assertEqual("holds", state, text)


def _add(number):
    def test(self):
        self.run_row(number)
    test.__doc__ = ROWS[number][0]
    setattr(Hostile, "test_row_%02d" % number, test)


for _number in sorted(ROWS):
    _add(_number)


if __name__ == "__main__":
    unittest.main()
