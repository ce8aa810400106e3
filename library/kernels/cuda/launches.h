// Each family's launch, by a device's run time: made of the same kernels by nvcc for a GPU and by
// the host's compiler for the emulator.
#pragma once

#include "kernels/attention/attention.h"
#include "kernels/attention/pass_rows.h"
#include "kernels/glu/glu.h"
#include "kernels/matmul/matmul.h"
#include "kernels/norm/norm.h"
#include "kernels/quantize/quantize.h"
#include "kernels/rope/rope.h"
#include "kernels/shortlist/shortlist.h"

namespace fallow::cuda {

// Enqueues on the stream (a cudaStream_t) and returns a cudaError_t; 0 is success. All addresses
// are the device's. `runs` of the arguments is not looked at: DeviceRows stands for it.
struct Launches {
  int (*activations)(const ActivationsArgs&, void* stream);
  int (*round)(const RoundArgs&, void* stream);
  int (*embed)(const EmbedArgs&, void* stream);
  int (*matmul)(const MatmulArgs&, void* stream);
  int (*norm)(const NormArgs&, void* stream);
  int (*rope)(const RopeArgs&, void* stream);
  int (*append)(const AppendArgs&, const DeviceRows&, void* stream);
  int (*attention)(const AttentionArgs&, const DeviceRows&, void* stream);
  int (*glu)(const GluArgs&, void* stream);
  int (*shortlist)(const ShortlistArgs&, void* stream);
};

extern const Launches kEmulatedLaunches;
extern const Launches kGpuLaunches;  // in builds with FALLOW_CUDA

}  // namespace fallow::cuda
