"""A short storm (test/storm): tools/dev storm blows a longer one."""
import os
import random
import unittest

from test.storm.storm import Storm
from test.support.proxy import IS_ENVOY


@unittest.skipIf(IS_ENVOY, "ours")
class Short(unittest.TestCase):
    """Five seconds of everything at once."""

    def test_storm(self):
        seed = int(os.environ.get("SLUICE_SEED", "0")) or random.randrange(1 << 32)
        storm = Storm(seed, 5)
        self.assertTrue(storm.run(), "SLUICE_SEED=%d: %s" % (seed, "; ".join(storm.problems)))
        self.assertGreater(min(storm.counts.values()), 3, storm.counts)


if __name__ == "__main__":
    unittest.main()
