#include "compare_models.h"

#include <memory>
#include <span>

#include "commands.h"
#include "engine/runtime.h"
#include "engine/trace.h"
#include "gguf/reader.h"

namespace mobilevlm::app {
namespace {

Result<std::shared_ptr<engine::Runtime>> Load(const CompareRequest& request, const std::string& half,
                                              bool is_text) {
  LoadOptions load;
  load.text = is_text ? half : request.other;
  load.mmproj = is_text ? request.other : half;
  load.threads = request.threads;
  load.kv = KvType::kF32;
  return engine::Runtime::Load(load);
}

Status CompareOn(const SamplePicture& sample, int tokens, engine::Runtime& original, engine::Runtime& smaller,
                 CompareReport& report) {
  const size_t vocab = static_cast<size_t>(original.model().llm.vocab);
  engine::TraceInput input;
  input.picture = sample.picture;
  MVLM_TRY(engine::TracePrompt(original.model(), sample.question, input));
  // The original's answer becomes part of what both read: while it goes on, the two must agree as well.
  input.tokens = tokens;
  MVLM_ASSIGN(const engine::TraceOutput answer, engine::Trace(original, input));
  input.tokens = 0;
  input.ids_after.insert(input.ids_after.end(), answer.greedy_ids.begin(), answer.greedy_ids.end());
  MVLM_ASSIGN(const engine::TraceOutput wanted, engine::Trace(original, input));
  MVLM_ASSIGN(const engine::TraceOutput found, engine::Trace(smaller, input));
  report.visual_tokens.Add(wanted.visual_tokens, found.visual_tokens,
                           static_cast<size_t>(original.model().llm.hidden));
  const size_t after = wanted.prompt_logits.size() - input.ids_after.size() * vocab;
  report.logits.Add(std::span(wanted.prompt_logits).subspan(after),
                    std::span(found.prompt_logits).subspan(after), vocab);
  ++report.pictures;
  return {};
}

}  // namespace

Result<CompareReport> CompareModels(const CompareRequest& request) {
  bool is_text = false;
  {
    MVLM_ASSIGN(const GgufFile file, GgufFile::Open(request.original));
    MVLM_ASSIGN(const std::string architecture, file.GetString("general.architecture"));
    is_text = architecture == "llama";
  }
  MVLM_ASSIGN(const std::shared_ptr<engine::Runtime> original, Load(request, request.original, is_text));
  MVLM_ASSIGN(const std::shared_ptr<engine::Runtime> smaller, Load(request, request.smaller, is_text));
  CompareReport report;
  MVLM_TRY(ForEachSample(request.samples, [&](const SamplePicture& sample) -> Status {
    if (Interrupted()) return Fail("interrupted");
    return CompareOn(sample, request.tokens, *original, *smaller, report);
  }));
  return report;
}

}  // namespace mobilevlm::app
