// Fraction: a share of all requests, drawn for each. Values, any thread.
#pragma once

#include "api/envoy/config/core/v3/base.pb.h"
#include "api/envoy/type/v3/percent.pb.h"
#include "source/async/worker.h"

namespace sluice {

class Fraction {
 public:
  Fraction() = default;  // nothing
  explicit Fraction(const envoy::type::v3::FractionalPercent& config)
      : numerator_(config.numerator()), denominator_(Denominator(config.denominator())) {}

  bool Draw(Rng& rng) const {
    if (numerator_ >= denominator_) return true;
    return numerator_ != 0 && rng.Chance(numerator_, denominator_);
  }

 private:
  static uint32_t Denominator(envoy::type::v3::FractionalPercent::DenominatorType type) {
    using Percent = envoy::type::v3::FractionalPercent;
    if (type == Percent::MILLION) return 1'000'000;
    return type == Percent::TEN_THOUSAND ? 10'000 : 100;
  }

  uint32_t numerator_ = 0;
  uint32_t denominator_ = 100;
};

}  // namespace sluice
