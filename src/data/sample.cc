#include "data/sample.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "data/record_splitter.h"

namespace mobilevlm::data {
namespace {

namespace dom = simdjson::dom;

static_assert(SampleParser::kPadding >= simdjson::SIMDJSON_PADDING);

// What Python's str.split() and strip() call a blank, as far as it is ASCII.
bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f'); }

uint32_t CountWords(std::string_view text) {
  uint32_t words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool blank = IsBlank(c);
    words += !blank && !inside;
    inside = !blank;
  }
  return words;
}

std::string_view Strip(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// Begin of a text for a message.
std::string Excerpt(std::string_view text) {
  constexpr size_t kMost = 40;
  size_t size = std::min(text.size(), kMost);
  while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return fmt::format("'{}{}'", text.substr(0, size), size < text.size() ? "..." : "");
}

void SetDefect(Sample& sample, Defect defect, std::string detail) {
  if (sample.defect != Defect::kNone) return;  // the first one counts
  sample.defect = defect;
  sample.detail = std::move(detail);
}

// The official form of a turn with one mark: the mark in front, the text stripped (preprocess_multimodal).
std::string MarkInFront(std::string_view text) {
  std::string rest;
  for (size_t mark = text.find(kImageMark); mark != std::string_view::npos; mark = text.find(kImageMark)) {
    rest += text.substr(0, mark);
    text.remove_prefix(mark + kImageMark.size());
  }
  rest += text;
  return fmt::format("{}\n{}", kImageMark, Strip(rest));
}

// Gives every turn its pictures.
void PlacePictures(Sample& sample) {
  const auto pictures = static_cast<int>(sample.images.size());
  int marks = 0, marked_turns = 0;
  for (const Turn& turn : sample.turns) {
    marks += CountImageMarks(turn.user);
    marked_turns += CountImageMarks(turn.user) > 0;
  }
  if (marks == 0) {
    if (pictures > 0 && !sample.turns.empty()) {
      sample.turns.front().images = pictures;
      sample.notes |= kNotePlacedPicture;
    }
    return;
  }
  // One picture whose mark stands several times in one turn is that one picture.
  const bool repeated = pictures == 1 && marked_turns == 1;
  if (!repeated && marks != pictures) {
    SetDefect(sample, marks > pictures ? Defect::kMarkWithoutPicture : Defect::kPictureWithoutMark,
              fmt::format("{} {} mark(s), {} picture(s)", marks, kImageMark, pictures));
    return;
  }
  for (Turn& turn : sample.turns) {
    turn.images = repeated && CountImageMarks(turn.user) > 0 ? 1 : CountImageMarks(turn.user);
    if (turn.images == 1) turn.user = MarkInFront(turn.user);
  }
}

class ObjectReader {
 public:
  explicit ObjectReader(dom::object object) : object_(object) {}

  Sample Read() {
    for (const dom::key_value_pair field : object_) {
      if (field.key == "id" || field.key == "question_id") {
        ReadId(field.value);
      } else if (field.key == "image" || field.key == "images") {
        ReadImages(field.key, field.value);
      } else if (field.key == "kind") {
        if (std::string_view kind; field.value.get(kind) == simdjson::SUCCESS) sample_.kind = kind;
      } else if (field.key == "conversations") {
        conversations_ = field.value;
        has_conversations_ = true;
      } else if (field.key == "text") {
        if (std::string_view text; field.value.get(text) == simdjson::SUCCESS) question_ = text;
      }
    }
    if (has_conversations_) {
      ReadConversation();
    } else if (!question_.empty()) {
      sample_.words = CountWords(question_);
      sample_.turns.push_back({.user = std::string(question_), .assistant = {}, .images = 0});
      SetDefect(sample_, Defect::kNoAnswer, "a question without its answer");
    } else {
      SetDefect(sample_, Defect::kBadField, "\"conversations\" is missing");
    }
    PlacePictures(sample_);
    return std::move(sample_);
  }

 private:
  void ReadId(dom::element value) {
    if (std::string_view text; value.get(text) == simdjson::SUCCESS) {
      sample_.id = text;
    } else if (value.is_int64() || value.is_uint64()) {
      sample_.id = simdjson::minify(value);
    }
  }

  void ReadImages(std::string_view key, dom::element value) {
    if (value.is_null()) return;  // as good as none
    dom::array list;
    if (value.get(list) != simdjson::SUCCESS) {
      AddImage(key, value);
      return;
    }
    for (const dom::element item : list) AddImage(key, item);
  }

  void AddImage(std::string_view key, dom::element value) {
    std::string_view path;
    if (value.get(path) != simdjson::SUCCESS || path.empty()) {
      SetDefect(sample_, Defect::kBadField,
                fmt::format("\"{}\": wanted a path or a list of paths, found {}", key,
                            Excerpt(simdjson::minify(value))));
      return;
    }
    sample_.images.emplace_back(path);
  }

  // Who speaks, and what; false after a defect.
  bool ReadUtterance(dom::element item, size_t number, std::string_view& from, std::string_view& value) {
    dom::object object;
    if (item.get(object) != simdjson::SUCCESS) {
      SetDefect(sample_, Defect::kBadField, fmt::format("turn {} is no object", number));
    } else if (object["from"].get(from) != simdjson::SUCCESS) {
      SetDefect(sample_, Defect::kBadField, fmt::format("turn {} has no \"from\"", number));
    } else if (object["value"].get(value) != simdjson::SUCCESS) {
      SetDefect(sample_, Defect::kBadField, fmt::format("turn {} has no text in \"value\"", number));
    } else {
      return true;
    }
    return false;
  }

  void ReadConversation() {
    dom::array list;
    if (conversations_.get(list) != simdjson::SUCCESS) {
      SetDefect(sample_, Defect::kBadField, "\"conversations\" is no list");
      return;
    }
    size_t number = 0;
    bool human_next = true;
    for (const dom::element item : list) {
      ++number;
      std::string_view from, value;
      if (!ReadUtterance(item, number, from, value)) return;
      sample_.words += CountWords(value);
      if (number == 1 && from == "gpt") {
        sample_.notes |= kNoteDroppedFirstTurn;
        continue;
      }
      if (from != (human_next ? "human" : "gpt")) {
        SetDefect(sample_, Defect::kWrongRoles,
                  fmt::format("turn {}: wanted \"from\": \"{}\", found {}", number,
                              human_next ? "human" : "gpt", Excerpt(from)));
        return;
      }
      human_next ? AddQuestion(value) : AddAnswer(value, number);
      human_next = !human_next;
    }
    if (sample_.turns.empty()) {
      SetDefect(sample_, Defect::kNoAnswer, "nobody asks");
    } else if (!human_next) {
      SetDefect(sample_, Defect::kNoAnswer, fmt::format("question {} has no answer", sample_.turns.size()));
    }
  }

  void AddQuestion(std::string_view value) {
    sample_.turns.push_back({.user = std::string(value), .assistant = {}, .images = 0});
  }

  void AddAnswer(std::string_view value, size_t number) {
    sample_.answer_words += CountWords(value);
    if (CountImageMarks(value) > 0) {
      SetDefect(sample_, Defect::kMarkInAnswer, fmt::format("turn {} answers with {}", number, kImageMark));
    }
    if (Strip(value).empty()) {
      SetDefect(sample_, Defect::kNoAnswer, fmt::format("turn {} is an empty answer", number));
    }
    sample_.turns.back().assistant = value;
  }

  dom::object object_;
  dom::element conversations_;
  bool has_conversations_ = false;
  std::string_view question_;
  Sample sample_;
};

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < ' ') {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

std::string JsonImages(const std::vector<std::string>& images) {
  if (images.size() == 1) return JsonString(images.front());
  std::string out = "[";
  for (const std::string& image : images) {
    if (out.size() > 1) out += ',';
    out += JsonString(image);
  }
  out += ']';
  return out;
}

}  // namespace

std::string_view DefectName(Defect defect) {
  constexpr std::array<std::string_view, static_cast<size_t>(Defect::kCount)> kNames = {
      "none",
      "bad field",
      "wrong roles",
      "no answer",
      "image mark without image",
      "image without mark",
      "image mark in an answer"};
  MVLM_CHECK(defect < Defect::kCount, "defect {}", static_cast<int>(defect));
  return kNames[static_cast<size_t>(defect)];
}

struct SampleParser::Impl {
  dom::parser parser;
  std::string copy;

  tl::expected<dom::object, JsonError> Object(std::string_view json, bool padded) {
    const char* text = json.data();
    if (!padded) {
      copy.assign(json);
      copy.append(kPadding, ' ');
      text = copy.data();
    }
    dom::object object;
    const auto error = parser.parse(text, json.size(), /*realloc_if_needed=*/false).get(object);
    if (error == simdjson::SUCCESS) return object;
    if (auto exact = FindSyntaxError(json)) return tl::unexpected(*std::move(exact));
    return tl::unexpected(JsonError{0, simdjson::error_message(error)});
  }
};

SampleParser::SampleParser() : impl_(std::make_unique<Impl>()) {}
SampleParser::~SampleParser() = default;
SampleParser::SampleParser(SampleParser&&) noexcept = default;
SampleParser& SampleParser::operator=(SampleParser&&) noexcept = default;

tl::expected<Sample, JsonError> SampleParser::Parse(std::string_view json, bool padded) {
  auto object = impl_->Object(json, padded);
  if (!object) return tl::unexpected(std::move(object.error()));
  return ObjectReader(*object).Read();
}

tl::expected<std::string, JsonError> SampleParser::Rewrite(std::string_view json,
                                                           const std::vector<std::string>* images) {
  auto object = impl_->Object(json, /*padded=*/false);
  if (!object) return tl::unexpected(std::move(object.error()));
  std::string out = "{";
  bool written = false;
  for (const dom::key_value_pair field : *object) {
    const bool image = images != nullptr && (field.key == "image" || field.key == "images");
    if (image && std::exchange(written, true)) continue;
    if (out.size() > 1) out += ',';
    out += JsonString(field.key);
    out += ':';
    out += image ? JsonImages(*images) : simdjson::minify(field.value);
  }
  out += '}';
  return out;
}

}  // namespace mobilevlm::data
