// Settings of the whole process.
#pragma once

namespace fallow {

// For executables of ours; a library does not change its host's process.
//
// Keeps glibc from giving freed message buffers back to the system, to be zeroed and mapped again
// for the next message: streams of 64 KiB messages are several times as fast. Turns off Abseil's
// search for lock cycles, which builds with assertions (Debian's) make at every lock of gRPC's.
void TuneProcess();

}  // namespace fallow
