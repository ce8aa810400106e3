// The family descriptors, families/*.json, as embedded at build.
#pragma once

#include <string_view>
#include <vector>

namespace fallow {

std::vector<std::string_view> FamilyDescriptors();

}  // namespace fallow
