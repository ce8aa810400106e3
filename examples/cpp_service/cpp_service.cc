// Serves a model's blocks from within a program, and uses them from the same program as any other
// client would.
//
//   cpp_service CHECKPOINT TOKEN...
//
// CHECKPOINT is a folder of Hugging Face (config.json, *.safetensors) or a .gguf file, TOKEN... the
// prompt as token ids. Prints the ids that the model goes on with.

#include <fallow/block_server.h>
#include <fallow/distributed_model.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace {

bool Print(fallow::TokenId token) {
  std::printf("%d ", static_cast<int>(token));
  std::fflush(stdout);
  return true;  // false ends the generation
}

absl::Status Run(const std::string& checkpoint, const std::vector<fallow::TokenId>& prompt) {
  // Of a model with 30 blocks, {.blocks = {0, 15}} would serve the first half; here it is all.
  auto server = fallow::BlockServer::Start({.checkpoint = checkpoint, .listen = "127.0.0.1:0"});
  if (!server.ok()) return server.status();
  std::printf("serving at %s\n", (*server)->address().c_str());

  // A client needs the checkpoint's configuration only: the weights are the server's.
  auto model =
      fallow::DistributedModel::Load({.checkpoint = checkpoint, .peers = {(*server)->address()}});
  if (!model.ok()) return model.status();

  auto done = (*model)->Generate(prompt, {.max_new_tokens = 64}, Print);
  if (!done.ok()) return done.status();
  std::printf("\n%.1f tokens a second\n", done->decode_tokens_per_second);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: cpp_service CHECKPOINT TOKEN...\n");
    return 2;
  }
  std::vector<fallow::TokenId> prompt;
  for (int i = 2; i < argc; ++i) prompt.push_back(std::atoi(argv[i]));
  const absl::Status status = Run(argv[1], prompt);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
