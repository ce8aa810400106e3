// Unguessable bytes, for session ids and secrets.
#pragma once

#include <cstddef>
#include <string>

namespace fallow {

std::string RandomBytes(std::size_t count);

}  // namespace fallow
