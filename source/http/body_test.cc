// A wrapped body is its inner one in all that it does not override.
#include "source/http/body.h"

#include <catch2/catch.hpp>

namespace sluice {
namespace {

class Inner final : public Body {
 public:
  explicit Inner(bool* asked) : asked_(asked), trailers_(arena_) { trailers_.Set("x-sum", "1"); }
  Task<absl::StatusOr<Chunk>> Read() override {
    *asked_ = true;
    return absl::StatusOr<Chunk>(Chunk());
  }
  bool Ready() const override { return true; }
  std::optional<uint64_t> Length() const override { return 7; }
  Headers* trailers() override { return &trailers_; }

 private:
  bool* const asked_;
  Arena arena_;
  Headers trailers_;
};

class NoLength final : public WrappedBody {
 public:
  using WrappedBody::WrappedBody;
  std::optional<uint64_t> Length() const override { return std::nullopt; }
};

TEST_CASE("what a wrapped body does not override is passed on", "[body]") {
  bool asked = false;
  WrappedBody plain(std::make_unique<Inner>(&asked));
  CHECK(plain.Ready());
  CHECK(plain.Length() == 7u);
  REQUIRE(plain.trailers() != nullptr);
  CHECK(plain.trailers()->Get("x-sum") == "1");
  {
    const auto read = plain.Read();
  }
  CHECK(asked);
  NoLength changed(std::make_unique<Inner>(&asked));
  CHECK_FALSE(changed.Length().has_value());
  CHECK(changed.trailers() != nullptr);
}

}  // namespace
}  // namespace sluice
