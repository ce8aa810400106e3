// Settings of the process' memory allocator.
#pragma once

namespace fallow {

// Keeps glibc from giving freed message buffers back to the system, to be zeroed and mapped again
// for the next message: streams of 64 KiB messages are several times as fast. For executables of
// ours; a library does not change its host's allocator.
void TuneAllocator();

}  // namespace fallow
