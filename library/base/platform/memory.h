// Memory straight from the operating system.
#pragma once

#include <cstdint>

namespace fallow {

// Zeroed memory, aligned to a page at least; a page takes room only once it is touched. Null if the
// system has no such range of addresses. bytes > 0
std::uint8_t* ReserveMemory(std::int64_t bytes);

// Asks for large pages where [memory, memory + bytes) is touched from now on: what is read from end
// to end then needs fewer look-ups of addresses. A touched byte may take up the whole page.
void PreferLargePages(std::uint8_t* memory, std::int64_t bytes);

// Whether [memory, memory + bytes) of what ReserveMemory returned, in whole pages, may be touched:
// else whoever does is stopped by the system.
void AllowAccess(std::uint8_t* memory, std::int64_t bytes, bool allowed);

// Gives back what ReserveMemory(bytes) returned.
void ReleaseMemory(std::uint8_t* memory, std::int64_t bytes);

// Bytes of memory that this process may use: the machine's, or less where its control group says
// so.
std::int64_t UsableMemory();

}  // namespace fallow
