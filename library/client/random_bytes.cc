#include "client/random_bytes.h"

#include "sodium.h"

namespace fallow {

std::string RandomBytes(std::size_t count) {
  std::string bytes(count, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  return bytes;
}

}  // namespace fallow
