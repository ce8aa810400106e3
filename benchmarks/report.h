// What a benchmark prints: each figure beside the limit that was measured in the same run.
#pragma once

#include <string>
#include <vector>

namespace fallow {

struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  double limit = 0;      // what this machine reaches, in the same unit
  std::string limit_is;  // in words
};

class Report {
 public:
  explicit Report(bool json) : json_(json) {}

  // Prints one line: name, value, unit, limit, value / limit, and what the limit is. As JSON: one
  // object with these keys.
  void Add(const Figure& figure) const;

 private:
  bool json_;
};

// The middle one of an odd number of values. Destroys their order.
double Median(std::vector<double>& values);

// Seconds of a clock that only goes forward.
double Now();

}  // namespace fallow
