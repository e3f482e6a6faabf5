// Known answers of the XXH64 specification and of Debian's xxhsum.
#include "source/base/hash.h"

#include <string>

#include <catch2/catch.hpp>

namespace sluice {
namespace {

TEST_CASE("known answers", "[hash]") {
  CHECK(Hash64("") == 0xEF46DB3751D8E999u);
  CHECK(Hash64("a") == 0xD24EC4F1A98C6E5Bu);
  CHECK(Hash64("abc") == 0x44BC2CF5AD770999u);
  // Four lanes, eight bytes, four bytes and single ones.
  CHECK(Hash64("Nobody inspects the spammish repetition") == 0xFBCEA83C8A378BF1u);
}

TEST_CASE("the seed and every byte count", "[hash]") {
  const std::string text(77, 'x');
  CHECK(Hash64(text, 1) != Hash64(text));
  for (size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] = 'y';
    CHECK(Hash64(other) != Hash64(text));
    CHECK(Hash64(text.substr(0, i)) != Hash64(text));
  }
}

}  // namespace
}  // namespace sluice
