#include "checkpoint/hf_directory.h"

#include "base/read_file.h"

namespace mobilevlm {
namespace {

constexpr uint64_t kMaxConfigBytes = 1 << 20;
constexpr uint64_t kMaxTokenizerBytes = 64 << 20;

}  // namespace

Result<HfDirectory> HfDirectory::Open(const std::string& path) {
  const std::string config_path = path + "/config.json";
  MVLM_ASSIGN(const std::string json, ReadFile(config_path, kMaxConfigBytes));
  MVLM_ASSIGN(HfConfig config, ParseHfConfig(json, config_path));
  MVLM_ASSIGN(SafetensorsFile weights, SafetensorsFile::Open(path + "/model.safetensors"));
  MVLM_ASSIGN(std::string tokenizer, ReadFile(path + "/tokenizer.model", kMaxTokenizerBytes));
  return HfDirectory{path, config, std::move(weights), std::move(tokenizer)};
}

}  // namespace mobilevlm
