// The tiny checkpoints of tests/golden and what Hugging Face transformers computed from them.
#pragma once

#include <string>
#include <vector>

#include "fallow/model_spec.h"

namespace fallow {

struct Golden {
  std::string name;  // of the folder
  std::string path;  // of the checkpoint
  bool gguf = false;
  std::vector<TokenId> prompt;
  std::vector<float> logits;    // [prompt, vocab_size], position by position
  std::vector<TokenId> greedy;  // what follows the first kGreedyPrompt tokens of the prompt
};
inline constexpr int kGreedyPrompt = 8;

// Every folder with an expected.safetensors, by name. Throws where one cannot be read.
std::vector<Golden> AllGolden();
Golden GoldenNamed(const std::string& name);

// Tensors of such a file: F32; I32 or I64.
std::vector<float> FloatsIn(const std::string& file, const std::string& tensor);
std::vector<TokenId> TokensIn(const std::string& file, const std::string& tensor);
bool HasTensor(const std::string& file, const std::string& tensor);

}  // namespace fallow
