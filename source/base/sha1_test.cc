// Known digests, with lengths around the ends of blocks.
#include "source/base/sha1.h"

#include <catch2/catch.hpp>
#include <string>

namespace sluice {
namespace {

std::string Hex(std::string_view text) {
  std::string out;
  for (const uint8_t byte : Sha1(text)) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

TEST_CASE("known digests", "[sha1]") {
  CHECK(Hex("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  CHECK(Hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  CHECK(Hex(std::string(55, 'a')) == "c1c8bbdc22796e28c0e15163d20899b65621d65a");
  CHECK(Hex(std::string(56, 'a')) == "c2db330f6083854c99d4b5bfb6e8f29f201be699");
  CHECK(Hex(std::string(64, 'a')) == "0098ba824b5c16427bd7a1122a5a442a25ec644d");
  CHECK(Hex(std::string(1000000, 'a')) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

}  // namespace
}  // namespace sluice
