// The processor cores of this machine.
#pragma once

namespace fallow {

// How many cores the system lets this process run on; at least 1.
int UsableCores();

}  // namespace fallow
