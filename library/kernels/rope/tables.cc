#include "kernels/rope/tables.h"

#include <algorithm>
#include <cmath>

namespace fallow {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kLn2 = 0.693147180559945309417;

// 2^x: the nearest integer power, times the Taylor series of exp over the rest.
double Exp2(double x) {
  const double nearest = std::floor(x + 0.5);
  const double rest = (x - nearest) * kLn2;
  double result = 1;
  for (int i = 18; i > 0; --i) result = std::fma(result, rest / i, 1.0);
  return std::ldexp(result, static_cast<int>(nearest));
}

// By the series of log((1 + z) / (1 - z)), |z| <= 0.172. x > 0.
double Log2(double x) {
  constexpr double kSqrt2 = 1.41421356237309504880;
  double exponent = 0;
  for (; x >= kSqrt2; x *= 0.5) exponent += 1;
  for (; x < kSqrt2 / 2; x *= 2) exponent -= 1;
  const double z = (x - 1) / (x + 1);
  const double square = z * z;
  double sum = 0;
  for (int k = 41; k > 0; k -= 2) sum = std::fma(sum, square, 1.0 / k);
  return exponent + sum * z * 2 * 1.44269504088896340736;
}

double Log(double x) { return Log2(x) * kLn2; }

double Power(double base, double exponent) { return Exp2(Log2(base) * exponent); }

struct SineCosine {
  double sine;
  double cosine;
};

// Reduction by multiples of pi / 2, kept in two parts, then Taylor series. 0 <= angle < 2^31.
SineCosine SineCosineOf(double angle) {
  constexpr double kHalfPiHigh = 0x1.921fb54442d18p+0;
  constexpr double kHalfPiLow = 0x1.1a62633145c07p-54;
  const double quarter = std::floor(angle * 0.63661977236758134308 + 0.5);
  const double rest = std::fma(-quarter, kHalfPiLow, std::fma(-quarter, kHalfPiHigh, angle));
  const double square = rest * rest;
  double sine = 0;
  double cosine = 0;
  for (int i = 19; i >= 1; i -= 2) sine = std::fma(sine, -square / ((i + 1) * (i + 2)), 1.0);
  for (int i = 18; i >= 0; i -= 2) cosine = std::fma(cosine, -square / ((i + 1) * (i + 2)), 1.0);
  sine = sine * rest;
  switch (static_cast<std::int64_t>(quarter) & 3) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

double DefaultFrequency(int i, int dims, double theta) {
  return Exp2(-Log2(theta) * (2.0 * i / dims));
}

// NTK-aware: a larger base, so that the slowest pair turns as far over `length` positions as it
// did over the original ones (factor 1).
double DynamicTheta(int dims, double theta, const RopeScaling& scaling, std::int64_t length) {
  if (length <= scaling.original_max_positions) return theta;
  const double ratio =
      static_cast<double>(length) / static_cast<double>(scaling.original_max_positions);
  const double stretch = scaling.factor * ratio - (scaling.factor - 1);
  return theta * Power(stretch, static_cast<double>(dims) / (dims - 2));
}

// Long waves are stretched, short ones kept, those between blended.
double Llama3Frequency(double frequency, const RopeScaling& scaling) {
  const double original = static_cast<double>(scaling.original_max_positions);
  const double wavelength = 2 * kPi / frequency;
  if (wavelength > original / scaling.low_freq_factor) return frequency / scaling.factor;
  if (wavelength < original / scaling.high_freq_factor) return frequency;
  const double smooth = (original / wavelength - scaling.low_freq_factor) /
                        (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - smooth) * (frequency / scaling.factor) + smooth * frequency;
}

// The pair, as a real number, that turns `rotations` times over the original positions.
double YarnPair(double rotations, int dims, double theta, const RopeScaling& scaling) {
  const double turn = static_cast<double>(scaling.original_max_positions) / (rotations * 2 * kPi);
  return dims * Log(turn) / (2 * Log(theta));
}

// Where YaRN's blend from kept to stretched frequencies begins and ends, in pairs.
struct YarnRamp {
  double low;
  double high;

  double At(int i) const { return std::clamp((i - low) / (high - low), 0.0, 1.0); }
};

YarnRamp MakeYarnRamp(int dims, double theta, const RopeScaling& scaling) {
  double low = YarnPair(scaling.beta_fast, dims, theta, scaling);
  double high = YarnPair(scaling.beta_slow, dims, theta, scaling);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1.0);
  if (low == high) high += 0.001;
  return {low, high};
}

double YarnMscale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * Log(factor) + 1.0;
}

// One position's rows of the tables.
void WriteRow(std::int64_t position, const std::vector<float>& frequencies, double factor,
              float* cosine, float* sine) {
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double angle = static_cast<double>(position) * static_cast<double>(frequencies[i]);
    const SineCosine value = SineCosineOf(angle);
    cosine[i] = static_cast<float>(value.cosine * factor);
    sine[i] = static_cast<float>(value.sine * factor);
  }
}

}  // namespace

std::vector<float> InverseFrequencies(int dims, double theta, const RopeScaling& scaling,
                                      std::int64_t length) {
  if (scaling.kind == RopeScaling::Kind::kDynamic) {
    theta = DynamicTheta(dims, theta, scaling, length);
  }
  YarnRamp ramp{};
  if (scaling.kind == RopeScaling::Kind::kYarn) ramp = MakeYarnRamp(dims, theta, scaling);

  std::vector<float> frequencies(dims / 2);
  for (int i = 0; i < dims / 2; ++i) {
    double frequency = DefaultFrequency(i, dims, theta);
    switch (scaling.kind) {
      case RopeScaling::Kind::kNone:
      case RopeScaling::Kind::kDynamic:
        break;
      case RopeScaling::Kind::kLinear:
        frequency = frequency / scaling.factor;
        break;
      case RopeScaling::Kind::kLlama3:
        frequency = Llama3Frequency(frequency, scaling);
        break;
      case RopeScaling::Kind::kYarn: {
        const double stretched = ramp.At(i);
        frequency = frequency / scaling.factor * stretched + frequency * (1 - stretched);
        break;
      }
    }
    frequencies[i] = static_cast<float>(frequency);
  }
  return frequencies;
}

double RopeAttentionFactor(const RopeScaling& scaling) {
  if (scaling.kind != RopeScaling::Kind::kYarn) return 1;
  if (scaling.attention_factor > 0) return scaling.attention_factor;
  if (scaling.mscale > 0 && scaling.mscale_all_dim > 0) {
    return YarnMscale(scaling.factor, scaling.mscale) /
           YarnMscale(scaling.factor, scaling.mscale_all_dim);
  }
  return YarnMscale(scaling.factor, 1);
}

RopeTables::RopeTables(int dims, double theta, const RopeScaling& scaling)
    : dims_(dims),
      theta_(theta),
      scaling_(scaling),
      attention_factor_(RopeAttentionFactor(scaling)),
      base_frequencies_(InverseFrequencies(dims, theta, scaling, 0)) {}

void RopeTables::Grow(std::int64_t positions) {
  if (positions <= positions_) return;
  const int pairs = dims_ / 2;
  cosine_.resize(positions * pairs);
  sine_.resize(positions * pairs);
  const bool dynamic = scaling_.kind == RopeScaling::Kind::kDynamic;
  for (std::int64_t p = positions_; p < positions; ++p) {
    float* cosine = &cosine_[p * pairs];
    float* sine = &sine_[p * pairs];
    if (dynamic && p >= scaling_.original_max_positions) {
      const auto frequencies = InverseFrequencies(dims_, theta_, scaling_, p + 1);
      WriteRow(p, frequencies, attention_factor_, cosine, sine);
    } else {
      WriteRow(p, base_frequencies_, attention_factor_, cosine, sine);
    }
  }
  positions_ = positions;
}

}  // namespace fallow
