#include "checkpoint/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "gguf/cursor.h"
#include "gguf/reader.h"

namespace mobilevlm {
namespace {

constexpr size_t kMaxValues = 1 << 20;  // a checkpoint of 7 billion weights has about 20,000
constexpr std::string_view kOrderedDict = "collections.OrderedDict";

// Names as in Python's pickletools.
enum Opcode : uint8_t {
  kProto = 0x80,
  kStop = '.',
  kMark = '(',
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8A,
  kBinFloat = 'G',
  kBinUnicode = 'X',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kGlobal = 'c',
  kReduce = 'R',
  kBuild = 'b',
  kBinPersId = 'Q',
};

}  // namespace

class PickleMachine {
 public:
  using Id = Pickle::Id;
  using Kind = Pickle::Kind;
  using Value = Pickle::Value;

  PickleMachine(std::span<const std::byte> bytes, std::span<const std::string_view> globals)
      : cursor_(bytes), globals_(globals) {}

  Result<Pickle> Run() {
    if (cursor_.Read<uint8_t>() != kProto) return Fail("not a pickle");
    const auto version = cursor_.Read<uint8_t>();
    if (version != 2) return Fail("wanted pickle protocol 2, found {}", version.value_or(0));
    for (;;) {
      const size_t position = cursor_.position();
      const auto opcode = cursor_.Read<uint8_t>();
      if (!opcode) return Fail("the pickle ends without its end mark: truncated?");
      if (*opcode == kStop) break;
      if (const Status step = Step(*opcode); !step) return Context(step.error(), "pickle byte {}", position);
    }
    MVLM_ASSIGN(pickle_.root_, Pop());
    return std::move(pickle_);
  }

 private:
  Status Step(uint8_t opcode) {
    switch (opcode) {
      case kMark:
        marks_.push_back(stack_.size());
        return {};
      case kNone:
        return Push({});
      case kNewTrue:
      case kNewFalse:
        return Push({.kind = Kind::kBool, .integer = opcode == kNewTrue});
      case kBinInt:
        return PushInteger<int32_t>();
      case kBinInt1:
        return PushInteger<uint8_t>();
      case kBinInt2:
        return PushInteger<uint16_t>();
      case kLong1:
        return PushLong();
      case kBinFloat:
        return PushReal();
      case kBinUnicode:
        return PushText();
      case kEmptyTuple:
      case kEmptyList:
        return Push({.kind = Kind::kSequence});
      case kEmptyDict:
        return Push({.kind = Kind::kDict});
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return PushTuple(opcode - kTuple1 + 1u);
      case kGlobal:
        return PushGlobal();
      case kBinPersId: {
        MVLM_ASSIGN(const Id id, Pop());
        return Push({.kind = Kind::kPersistent, .items = {id}});
      }
      case kReduce:
        return Reduce();
      default:
        return StepWithMarkOrMemo(opcode);
    }
  }

  Status StepWithMarkOrMemo(uint8_t opcode) {
    switch (opcode) {
      case kTuple: {
        MVLM_ASSIGN(std::vector<Id> items, PopToMark());
        return Push({.kind = Kind::kSequence, .items = std::move(items)});
      }
      case kAppend:
        return Extend(Kind::kSequence, 1);
      case kSetItem:
        return Extend(Kind::kDict, 2);
      case kAppends:
        return ExtendToMark(Kind::kSequence);
      case kSetItems:
        return ExtendToMark(Kind::kDict);
      case kBinPut:
        return Memorise<uint8_t>();
      case kLongBinPut:
        return Memorise<uint32_t>();
      case kBinGet:
        return Recall<uint8_t>();
      case kLongBinGet:
        return Recall<uint32_t>();
      case kBuild:
        return Build();
      default:
        return Fail("opcode {:#04x} is none that torch.save writes", opcode);
    }
  }

  // The number of values on the stack above the last mark: no opcode may reach below it.
  size_t Reachable() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  Status Push(Value value) {
    if (pickle_.values_.size() >= kMaxValues) return Fail("more than {} values", kMaxValues);
    stack_.push_back(static_cast<Id>(pickle_.values_.size()));
    pickle_.values_.push_back(std::move(value));
    return {};
  }
  Result<Id> Pop() {
    if (Reachable() == 0) return Fail("the stack is empty");
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }
  Result<std::vector<Id>> PopToMark() {
    if (marks_.empty()) return Fail("there is no mark");
    const auto begin = stack_.begin() + static_cast<ptrdiff_t>(marks_.back());
    std::vector<Id> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  Status Truncated() const { return Fail("truncated"); }

  template <class T>
  Status PushInteger() {
    const auto number = cursor_.Read<T>();
    if (!number) return Truncated();
    return Push({.kind = Kind::kInteger, .integer = *number});
  }

  // Two's complement of any length; more than 8 bytes is no size of anything.
  Status PushLong() {
    const auto size = cursor_.Read<uint8_t>();
    const auto bytes = size ? cursor_.Take(*size) : std::nullopt;
    if (!bytes) return Truncated();
    if (bytes->size() > sizeof(int64_t)) return Fail("an integer of {} bytes", bytes->size());
    const bool negative = !bytes->empty() && (bytes->back() & std::byte{0x80}) != std::byte{0};
    int64_t number = negative ? -1 : 0;
    if (!bytes->empty()) std::memcpy(&number, bytes->data(), bytes->size());
    return Push({.kind = Kind::kInteger, .integer = number});
  }

  Status PushReal() {
    const auto bits = cursor_.Read<uint64_t>();
    if (!bits) return Truncated();
    return Push({.kind = Kind::kReal, .real = std::bit_cast<double>(__builtin_bswap64(*bits))});
  }

  Status PushText() {
    const auto size = cursor_.Read<uint32_t>();
    const auto bytes = size ? cursor_.Take(*size) : std::nullopt;
    if (!bytes) return Truncated();
    return Push({.kind = Kind::kText, .text = {reinterpret_cast<const char*>(bytes->data()), bytes->size()}});
  }

  Status PushTuple(size_t size) {
    if (Reachable() < size) return Fail("the stack is empty");
    std::vector<Id> items(stack_.end() - static_cast<ptrdiff_t>(size), stack_.end());
    stack_.resize(stack_.size() - size);
    return Push({.kind = Kind::kSequence, .items = std::move(items)});
  }

  Result<std::string> Line() {
    std::string line;
    for (;;) {
      const auto c = cursor_.Read<char>();
      if (!c || line.size() > 1024) return Fail("a name without an end");
      if (*c == '\n') return line;
      line += *c;
    }
  }
  Status PushGlobal() {
    MVLM_ASSIGN(const std::string module, Line());
    MVLM_ASSIGN(const std::string name, Line());
    std::string global = module + "." + name;
    if (std::find(globals_.begin(), globals_.end(), global) == globals_.end()) {
      return Fail("it asks for {}, which a file of weights has no use for: refused, nothing was executed",
                  Printable(global));
    }
    return Push({.kind = Kind::kGlobal, .text = std::move(global)});
  }

  Status Reduce() {
    MVLM_ASSIGN(const Id arguments, Pop());
    MVLM_ASSIGN(const Id callee, Pop());
    const Value& global = pickle_.at(callee);
    if (global.kind != Kind::kGlobal) return Fail("a call of what is no function");
    if (pickle_.at(arguments).kind != Kind::kSequence)
      return Fail("a call of {} without arguments", global.text);
    if (global.text != kOrderedDict) return Push({.kind = Kind::kCall, .items = {callee, arguments}});
    if (!pickle_.at(arguments).items.empty()) return Fail("{}: wanted no arguments", kOrderedDict);
    return Push({.kind = Kind::kDict});
  }

  // What a state dict carries beside its entries ("_metadata": versions of the modules) is not needed.
  Status Build() {
    MVLM_TRY(Pop());
    if (Reachable() == 0 || pickle_.at(stack_.back()).kind != Kind::kDict) {
      return Fail("state for what is no dictionary");
    }
    return {};
  }

  Status Extend(Kind kind, size_t count) {
    if (Reachable() < count + 1) return Fail("the stack is empty");
    std::vector<Id> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return Append(kind, items);
  }
  Status ExtendToMark(Kind kind) {
    MVLM_ASSIGN(const std::vector<Id> items, PopToMark());
    return Append(kind, items);
  }
  Status Append(Kind kind, const std::vector<Id>& items) {
    if (Reachable() == 0) return Fail("the stack is empty");
    Value& target = pickle_.values_[stack_.back()];
    if (target.kind != kind || (kind == Kind::kDict && items.size() % 2 != 0)) {
      return Fail("items for what is no {}", kind == Kind::kDict ? "dictionary" : "list");
    }
    target.items.insert(target.items.end(), items.begin(), items.end());
    return {};
  }

  template <class T>
  Status Memorise() {
    const auto key = cursor_.Read<T>();
    if (!key) return Truncated();
    if (Reachable() == 0) return Fail("the stack is empty");
    memo_[*key] = stack_.back();
    return {};
  }
  template <class T>
  Status Recall() {
    const auto key = cursor_.Read<T>();
    if (!key) return Truncated();
    const auto found = memo_.find(*key);
    if (found == memo_.end()) return Fail("nothing is remembered as {}", *key);
    stack_.push_back(found->second);
    return {};
  }

  ByteCursor cursor_;
  std::span<const std::string_view> globals_;
  Pickle pickle_;
  std::vector<Id> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint32_t, Id> memo_;
};

Result<Pickle> Pickle::Parse(std::span<const std::byte> bytes, std::span<const std::string_view> globals) {
  return PickleMachine(bytes, globals).Run();
}

}  // namespace mobilevlm
