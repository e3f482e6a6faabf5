"""The instruction budget: an ordinary request must not become dearer unnoticed (see test/bench/instructions.py)."""
import unittest

from test.bench import instructions, measure
from test.support.proxy import BINARY, IS_ENVOY, SANITIZER


class Budget(unittest.TestCase):
    @unittest.skipIf(IS_ENVOY or SANITIZER, "counts the optimised binary of Sluice only")
    @unittest.skipUnless(measure.Callgrind.present(), "valgrind or objcopy is not installed")
    def test_default_request(self):
        measured, counts = instructions.count(BINARY)
        problem = instructions.verdict(measured)
        self.assertIsNone(problem, "%s; counts %s" % (problem, counts))


if __name__ == "__main__":
    unittest.main()
