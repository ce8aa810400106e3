#include "model/checkpoint.h"

#include <algorithm>
#include <cstring>

#include "base/platform/mapped_file.h"
#include "catch2/catch_test_macros.hpp"
#include "catch2/generators/catch_generators.hpp"
#include "model/safetensors.h"
#include "tests/model/files.h"

namespace fallow {
namespace {

constexpr char kConfig[] = R"({"model_type": "llama"})";

TEST_CASE("a directory's configuration, tensors and generation defaults are found", "[model]") {
  const auto checkpoint = OpenGolden("llama");
  CHECK_FALSE(checkpoint->is_gguf());
  CHECK(checkpoint->config()["hidden_size"] == 128);
  CHECK(checkpoint->config()["generation_config"].contains("eos_token_id"));
  CHECK(checkpoint->tokenizer()->empty());

  const std::string name = "model.layers.5.mlp.down_proj.weight";
  REQUIRE(checkpoint->Has(name));
  const auto tensor = checkpoint->Find(name);
  REQUIRE(tensor.ok());
  CHECK(tensor->type == StoredType::kBF16);
  CHECK(tensor->shape == std::vector<std::int64_t>{128, 192});
  CHECK(tensor->bytes.size() == 128 * 192 * 2);
  CHECK(tensor->elements() == 128 * 192);

  CHECK_FALSE(checkpoint->Has("model.layers.6.mlp.down_proj.weight"));
  CHECK(absl::IsNotFound(checkpoint->Find("model.layers.6.mlp.down_proj.weight").status()));
}

TEST_CASE("every tensor of every golden checkpoint has the bytes that its type asks", "[model]") {
  const std::string name = GENERATE("llama", "llama-sharded", "bloom", "gguf-mixed", "gguf-F16");
  CAPTURE(name);
  const auto checkpoint = OpenGolden(name);
  const std::vector<std::string> names = checkpoint->tensor_names();
  CHECK(names.size() >= 9);
  CHECK(std::is_sorted(names.begin(), names.end()));
  for (const std::string& tensor_name : names) {
    CAPTURE(tensor_name);
    const auto tensor = checkpoint->Find(tensor_name);
    REQUIRE(tensor.ok());
    CHECK(tensor->name == tensor_name);
    CHECK(static_cast<std::int64_t>(tensor->bytes.size()) ==
          StoredBytes(tensor->type, tensor->elements()));
  }
}

TEST_CASE("only the shards of tensors that are asked for need to be there", "[model]") {
  const TemporaryDirectory directory;
  const std::string golden = GoldenPath("llama-sharded");
  const std::string shard = "model-00002-of-00003.safetensors";
  for (const std::string& name :
       {std::string("config.json"), shard, std::string("model.safetensors.index.json")}) {
    directory.Copy(golden + "/" + name, name);
  }
  const auto whole = OpenGolden("llama-sharded");
  const auto part = Checkpoint::Open(directory.path());
  REQUIRE(part.ok());
  CHECK((*part)->tensor_names() == whole->tensor_names());
  CHECK((*part)->Inventory() == whole->Inventory());

  const auto opened = SafetensorsFile::Open(directory.File(shard));
  REQUIRE(opened.ok());
  for (const std::string& name : whole->tensor_names()) {
    CAPTURE(name);
    const auto tensor = (*part)->Find(name);
    CHECK(tensor.ok() == (*opened)->entries().contains(name));
    if (!tensor.ok()) {
      CHECK(absl::IsNotFound(tensor.status()));
      continue;
    }
    const auto expected = whole->Find(name);
    REQUIRE(expected.ok());
    CHECK(std::equal(tensor->bytes.begin(), tensor->bytes.end(), expected->bytes.begin(),
                     expected->bytes.end()));
  }
}

TEST_CASE("an index may not lead out of its directory", "[model][hostile]") {
  const std::string file = GENERATE("../model.safetensors", "/etc/passwd", "..", "a/b", "", ".");
  CAPTURE(file);
  const TemporaryDirectory directory;
  directory.Write("config.json", kConfig);
  const nlohmann::json index = {{"weight_map", {{"a", file}}}};
  directory.Write("model.safetensors.index.json", index.dump());
  const auto opened = Checkpoint::Open(directory.path());
  REQUIRE(absl::IsDataLoss(opened.status()));
  CHECK(std::string(opened.status().message()).find("weight_map: tensor a") != std::string::npos);
}

TEST_CASE("a shard without a tensor that the index promises is damaged", "[model][hostile]") {
  const TemporaryDirectory directory;
  directory.Write("config.json", kConfig);
  directory.Write("model.safetensors.index.json",
                  R"({"weight_map": {"a": "one.safetensors", "b": "one.safetensors"}})");
  const Bytes shard =
      Safetensors(R"({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}})", 2);
  directory.Write("one.safetensors", std::string(shard.begin(), shard.end()));
  const auto checkpoint = Checkpoint::Open(directory.path());
  REQUIRE(checkpoint.ok());
  CHECK((*checkpoint)->Find("a").ok());
  CHECK(absl::IsDataLoss((*checkpoint)->Find("b").status()));
}

TEST_CASE("what is not a checkpoint is told apart", "[model]") {
  const TemporaryDirectory directory;
  CHECK(absl::IsNotFound(Checkpoint::Open(directory.File("nothing")).status()));
  CHECK(absl::IsNotFound(Checkpoint::Open(directory.path()).status()));  // no config.json
  directory.Write("config.json", kConfig);
  CHECK(absl::IsNotFound(Checkpoint::Open(directory.path()).status()));  // no weights
  directory.Write("pickle.bin", "\x80\x02}q");
  CHECK(absl::IsDataLoss(Checkpoint::Open(directory.File("pickle.bin")).status()));
  directory.Write("empty", "");
  CHECK(absl::IsDataLoss(Checkpoint::Open(directory.File("empty")).status()));
  CHECK(absl::IsInvalidArgument(Checkpoint::Open("/dev/null").status()));
  CHECK(absl::IsInvalidArgument(MappedFile::Open(directory.path()).status()));
}

TEST_CASE("a tensor of a type that is not supported does not stop the others", "[model]") {
  const Bytes file = Safetensors(
      R"({"a": {"dtype": "BOOL", "shape": [3], "data_offsets": [0, 3]},
          "b": {"dtype": "Q4_K", "shape": [1], "data_offsets": [3, 7]},
          "c": {"dtype": "I32", "shape": [], "data_offsets": [7, 11]}})",
      11);
  const TemporaryDirectory directory;
  directory.Write("x", std::string(file.begin(), file.end()));
  const auto opened = SafetensorsFile::Open(directory.File("x"));
  REQUIRE(opened.ok());
  CHECK(absl::IsUnimplemented((*opened)->Find("a").status()));
  CHECK(absl::IsUnimplemented((*opened)->Find("b").status()));
  const auto scalar = (*opened)->Find("c");
  REQUIRE(scalar.ok());
  CHECK(scalar->elements() == 1);
}

TEST_CASE("stored numbers are read as floats", "[model]") {
  struct Row {
    StoredType type;
    std::uint64_t bits;
    float value;
  };
  for (const Row& row :
       {Row{StoredType::kF32, 0x3fc00000, 1.5f}, Row{StoredType::kF16, 0x3e00, 1.5f},
        Row{StoredType::kF16, 0x0001, 0x1p-24f}, Row{StoredType::kBF16, 0xbfc0, -1.5f},
        Row{StoredType::kI64, 0xffffffffffffffff, -1}, Row{StoredType::kI32, 7, 7},
        Row{StoredType::kU8, 0xff, 255}}) {
    CAPTURE(Name(row.type));
    std::uint8_t bytes[8];
    std::memcpy(bytes, &row.bits, sizeof(bytes));
    float value = 0;
    Dequantize(row.type, bytes, 1, &value);
    CHECK(value == row.value);
  }
}

}  // namespace
}  // namespace fallow
