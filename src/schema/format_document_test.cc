// The tables of docs/format.md come from the tables that the loader reads. The test fails when they differ;
// MOBILEVLM_UPDATE_DOCS=1 in the environment makes it rewrite them instead. The prose around them is written
// by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/atomic_file.h"
#include "base/read_file.h"
#include "schema/keys.h"
#include "schema/tensors.h"

namespace mobilevlm {
namespace {

const std::string kDocument = MOBILEVLM_SOURCE_DIR "/docs/format.md";

std::string WhatIfMissing(const KeySpec& key) {
  switch (key.rule) {
    case KeyRule::kRequired:
      return "the load stops";
    case KeyRule::kDerived:
      return "computed";
    case KeyRule::kNotUsed:
      return "not used";
    case KeyRule::kDefault:
      break;
  }
  if (key.note.starts_with('"')) return std::string(key.note.substr(0, key.note.find('"', 1) + 1));  // a text
  const bool flag = key.key.find(".has_") != std::string_view::npos ||
                    key.key.find(".use_") != std::string_view::npos ||
                    key.key.find(".add_") != std::string_view::npos;
  if (flag) return key.fallback != 0 ? "true" : "false";
  return fmt::format("{}", key.fallback);
}

std::string KeyTable(std::span<const KeySpec> keys) {
  std::string table = "| key | if it is missing | range | meaning |\n|---|---|---|---|\n";
  for (const KeySpec& key : keys) {
    // Strings, arrays and flags have none.
    const std::string range = key.most > 0 ? fmt::format("{} to {}", key.least, key.most) : "";
    const bool from = key.rule == KeyRule::kDerived && !key.note.starts_with('[');
    table += fmt::format("| `{}` | {} | {} | {}{} |\n", key.key, WhatIfMissing(key), range,
                         from ? "from " : "", key.note);
  }
  return table;
}

// Sizes that no two extents share, so that a number in a shape tells which one it is.
class Symbols {
 public:
  LlmConfig llm;
  VisionConfig vision;

  Symbols() {
    llm.vocab = Name(32003, "vocab");
    llm.hidden = Name(2003, "hidden");
    llm.intermediate = Name(5003, "intermediate");
    llm.layers = 1;
    llm.heads = 17;
    llm.kv_heads = 13;
    llm.head_dim = 118;
    Name(llm.heads * llm.head_dim, "heads * head_dim");
    Name(llm.kv_heads * llm.head_dim, "kv_heads * head_dim");
    vision.hidden = Name(1013, "vision_hidden");
    vision.intermediate = Name(4099, "vision_intermediate");
    vision.heads = 1;
    vision.stored_layers = vision.used_layers = 1;
    vision.patch_size = Name(23, "patch");
    vision.image_size = 23 * 20;
    Name(vision.patches() + 1, "patches + 1");
    Name(Projector(ProjectorType::kLdp).squeeze(), "squeeze");
  }

  ProjectorConfig Projector(ProjectorType type) const {
    return {type, vision.hidden, llm.hidden, vision.grid()};
  }

  std::string Shape(const std::vector<uint64_t>& shape) const {
    std::vector<std::string> words;
    for (const uint64_t extent : shape) {
      const auto name = names_.find(static_cast<int>(extent));
      EXPECT_TRUE(name != names_.end() || extent <= 3) << extent;
      words.push_back(name == names_.end() ? fmt::format("{}", extent) : name->second);
    }
    return fmt::format("[{}]", fmt::join(words, ", "));
  }

 private:
  int Name(int number, const std::string& name) {
    EXPECT_TRUE(names_.emplace(number, name).second) << number;
    return number;
  }
  std::map<int, std::string> names_;
};

// "blk.0." -> "blk.N.": one layer stands for all.
std::string AnyLayer(std::string name) {
  for (const std::string layer : {"blk.0.", "layers.0."}) {
    const size_t at = name.find(layer);
    if (at != std::string::npos) name[at + layer.size() - 2] = 'N';
  }
  return name;
}

std::string TensorTable(const std::vector<TensorSpec>& specs, const Symbols& symbols) {
  std::string table = "| GGUF | Hugging Face | shape | stored as |\n|---|---|---|---|\n";
  for (const TensorSpec& spec : specs) {
    const std::string storage = spec.storage == TensorStorage::kMatrix ? "matrix"
                                : spec.storage == TensorStorage::kHalf ? "half"
                                                                       : "float";
    const char* transform = spec.transform == TensorTransform::kRopeRows ? ", rows permuted" : "";
    table += fmt::format("| `{}` | `{}` | {} | {}{} |\n", AnyLayer(spec.gguf_name), AnyLayer(spec.hf_name),
                         symbols.Shape(spec.shape), storage, transform);
  }
  return table;
}

// Replaces what stands between "<!-- generated: NAME -->" and "<!-- end -->".
void Replace(std::string& document, const std::string& name, const std::string& table) {
  const std::string begin = fmt::format("<!-- generated: {} -->\n", name);
  const size_t at = document.find(begin);
  ASSERT_NE(at, std::string::npos) << kDocument << " has no place for " << name;
  const size_t end = document.find("<!-- end -->", at);
  ASSERT_NE(end, std::string::npos) << name;
  document.replace(at + begin.size(), end - at - begin.size(), fmt::format("\n{}\n", table));
}

TEST(FormatDocument, TablesAreThoseOfTheSchema) {
  const std::string found = ReadFile(kDocument, 1 << 20).value();
  const Symbols symbols;
  std::string wanted = found;
  Replace(wanted, "keys of text.gguf", KeyTable(TextKeys()));
  Replace(wanted, "keys of mmproj.gguf", KeyTable(MmprojKeys()));
  Replace(wanted, "tensors of text.gguf", TensorTable(LlmTensors(symbols.llm), symbols));
  Replace(wanted, "tensors of the tower", TensorTable(VisionTensors(symbols.vision), symbols));
  for (const ProjectorType type : {ProjectorType::kLdpV2, ProjectorType::kLdp, ProjectorType::kMlp}) {
    Replace(wanted, fmt::format("tensors of {}", ProjectorName(type)),
            TensorTable(ProjectorTensors(symbols.Projector(type)), symbols));
  }
  if (wanted == found) return;
  if (std::getenv("MOBILEVLM_UPDATE_DOCS") != nullptr) {
    ASSERT_TRUE(WriteFileAtomically(kDocument, wanted));
    return;
  }
  const size_t at = static_cast<size_t>(
      std::mismatch(wanted.begin(), wanted.end(), found.begin(), found.end()).first - wanted.begin());
  FAIL()
      << "docs/format.md is stale: run this test with MOBILEVLM_UPDATE_DOCS=1 in the environment. Wanted:\n"
      << wanted.substr(at > 100 ? at - 100 : 0, 300);
}

}  // namespace
}  // namespace mobilevlm
