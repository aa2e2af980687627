#include "checkpoint/torch_file.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "base/checked_math.h"
#include "checkpoint/pickle.h"
#include "checkpoint/zip_archive.h"
#include "gguf/reader.h"

namespace mobilevlm {
namespace {

using Value = Pickle::Value;
using Kind = Pickle::Kind;

constexpr size_t kMaxPickleBytes = 64 << 20;

constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";

constexpr std::string_view kGlobals[] = {
    "collections.OrderedDict", kRebuildTensor,          kRebuildParameter,     "torch.FloatStorage",
    "torch.HalfStorage",       "torch.BFloat16Storage", "torch.DoubleStorage", "torch.LongStorage",
    "torch.IntStorage",        "torch.ShortStorage",    "torch.CharStorage",   "torch.ByteStorage",
    "torch.BoolStorage",
};

std::optional<DType> TypeOfStorage(std::string_view storage) {
  if (storage == "torch.FloatStorage") return DType::kF32;
  if (storage == "torch.HalfStorage") return DType::kF16;
  if (storage == "torch.BFloat16Storage") return DType::kBF16;
  return std::nullopt;
}

// "HalfStorage" of "torch.HalfStorage"
std::string ShortName(const std::string& storage) { return storage.substr(storage.find('.') + 1); }

bool HasControlCharacters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

bool RowMajor(const std::vector<uint64_t>& shape, const std::vector<uint64_t>& strides) {
  uint64_t wanted = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] != 1 && strides[axis] != wanted) return false;
    wanted *= shape[axis];  // does not overflow: the caller counted the elements
  }
  return true;
}

// Elements from the first to the last one that the tensor reaches; nullopt on overflow. No extent is 0.
std::optional<uint64_t> Reach(const std::vector<uint64_t>& shape, const std::vector<uint64_t>& strides) {
  std::optional<uint64_t> reach = 1;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const auto distance = CheckedMul(shape[axis] - 1, strides[axis]);
    reach = reach && distance ? CheckedAdd(*reach, *distance) : std::nullopt;
  }
  return reach;
}

}  // namespace

class TorchParser {
 public:
  TorchParser(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes) {
    file_.path_ = path;
  }

  Result<TorchFile> Parse() {
    const std::string& path = file_.path_;
    if (!ZipArchive::Recognise(bytes_)) {
      return Fail("{}: not a file of torch.save in its zip format (PyTorch 1.6 or later)", path);
    }
    MVLM_ASSIGN(archive_, ZipArchive::Parse(bytes_, path));
    MVLM_ASSIGN(const std::span<const std::byte> bytes, FindPickle());
    auto pickle = Pickle::Parse(bytes, kGlobals);
    if (!pickle) return Context(pickle.error(), "{}", path);
    pickle_ = &*pickle;
    const Value& root = pickle->root();
    if (root.kind != Kind::kDict) return Fail("{}: wanted a dictionary of tensors", path);
    std::unordered_set<std::string> names;
    for (size_t i = 0; i + 1 < root.items.size(); i += 2) {
      const Value& name = pickle->at(root.items[i]);
      if (name.kind != Kind::kText) return Fail("{}: a key of the dictionary is no text", path);
      if (HasControlCharacters(name.text)) {
        return Fail("{}: a tensor's name contains control characters: {}", path, Printable(name.text));
      }
      if (!names.insert(name.text).second) return Fail("{}: tensor {} appears twice", path, name.text);
      if (const Status added = Add(name.text, pickle->at(root.items[i + 1])); !added) {
        return Context(added.error(), "{}: tensor {}", path, Printable(name.text));
      }
    }
    return std::move(file_);
  }

 private:
  struct Storage {
    std::string name;  // "torch.HalfStorage"
    std::span<const std::byte> data;
    uint64_t elements = 0;
  };

  Result<std::span<const std::byte>> FindPickle() {
    const ZipEntry* found = nullptr;
    for (const ZipEntry& entry : archive_->entries()) {
      if (entry.name != "data.pkl" && !entry.name.ends_with("/data.pkl")) continue;
      if (found != nullptr) return Fail("{}: holds two pickles", file_.path_);
      found = &entry;
    }
    if (found == nullptr) return Fail("{}: data.pkl is missing: not a file of torch.save", file_.path_);
    if (found->data.size() > kMaxPickleBytes) {
      return Fail("{}: {} of {} bytes, wanted at most {}", file_.path_, Printable(found->name),
                  found->data.size(), kMaxPickleBytes);
    }
    prefix_ = found->name.substr(0, found->name.size() - std::string_view("data.pkl").size());
    if (const ZipEntry* order = archive_->Find(prefix_ + "byteorder")) {
      const std::string_view text(reinterpret_cast<const char*>(order->data.data()), order->data.size());
      if (text != "little")
        return Fail("{}: byte order: wanted little, found {}", file_.path_, Printable(text));
    }
    return found->data;
  }

  const Value* Item(const Value& list, size_t index) const {
    return index < list.items.size() ? &pickle_->at(list.items[index]) : nullptr;
  }
  const Value* Item(const Value& list, size_t index, Kind kind) const {
    const Value* item = Item(list, index);
    return item != nullptr && item->kind == kind ? item : nullptr;
  }

  // The arguments, if `value` is a call of `function`.
  const Value* ArgumentsOf(const Value& value, std::string_view function) const {
    if (value.kind != Kind::kCall || pickle_->at(value.items[0]).text != function) return nullptr;
    return &pickle_->at(value.items[1]);
  }

  Result<std::vector<uint64_t>> Sizes(const Value* list) const {
    if (list == nullptr || list->items.size() > kMaxDimensions) {
      return Fail("wanted at most {} sizes and strides", kMaxDimensions);
    }
    std::vector<uint64_t> sizes;
    for (size_t i = 0; i < list->items.size(); ++i) {
      const Value* number = Item(*list, i, Kind::kInteger);
      if (number == nullptr || number->integer < 0) return Fail("a size or stride is no natural number");
      sizes.push_back(static_cast<uint64_t>(number->integer));
    }
    return sizes;
  }

  Status Add(const std::string& name, const Value& value) {
    if (const Value* parameter = ArgumentsOf(value, kRebuildParameter)) {
      const Value* inner = Item(*parameter, 0);
      if (inner == nullptr || ArgumentsOf(*inner, kRebuildTensor) == nullptr) return Fail("no tensor inside");
      return Add(name, *inner);
    }
    const Value* arguments = ArgumentsOf(value, kRebuildTensor);
    if (arguments == nullptr) {
      file_.others_.push_back({name, "no tensor"});
      return {};
    }
    MVLM_ASSIGN(const Storage storage, FindStorage(Item(*arguments, 0, Kind::kPersistent)));
    const Value* offset = Item(*arguments, 1, Kind::kInteger);
    if (offset == nullptr || offset->integer < 0) return Fail("the offset is no natural number");
    MVLM_ASSIGN(std::vector<uint64_t> shape, Sizes(Item(*arguments, 2, Kind::kSequence)));
    MVLM_ASSIGN(std::vector<uint64_t> strides, Sizes(Item(*arguments, 3, Kind::kSequence)));
    if (shape.size() != strides.size()) return Fail("{} sizes, but {} strides", shape.size(), strides.size());
    const auto type = TypeOfStorage(storage.name);
    if (!type) {
      file_.others_.push_back({name, ShortName(storage.name)});
      return {};
    }
    NamedTensor tensor{name, *type, std::move(shape), {}, std::move(strides)};
    return Place(std::move(tensor), storage, static_cast<uint64_t>(offset->integer));
  }

  // Where the tensor lies in its storage; row-major tensors lose their strides.
  Status Place(NamedTensor tensor, const Storage& storage, uint64_t offset) {
    const auto bytes = DenseBytes(tensor.type, tensor.shape);
    if (!bytes) return Fail("shape {} is absurd", ShapeText(tensor.shape));
    if (*bytes == 0) {
      tensor.strides.clear();
    } else {
      const auto reach = Reach(tensor.shape, tensor.strides);
      if (!reach || !RangeFits(offset, *reach, storage.elements)) {
        return Fail("shape {} with strides {} at {} leaves its storage of {} elements",
                    ShapeText(tensor.shape), ShapeText(tensor.strides), offset, storage.elements);
      }
      const size_t size = GetDTypeInfo(tensor.type).block_bytes;
      tensor.data = storage.data.subspan(offset * size, *reach * size);
      if (RowMajor(tensor.shape, tensor.strides)) tensor.strides.clear();
    }
    file_.tensors_.push_back(std::move(tensor));
    return {};
  }

  Result<Storage> FindStorage(const Value* persistent) const {
    if (persistent == nullptr) return Fail("wanted a storage");
    const Value& id = pickle_->at(persistent->items[0]);
    const Value* tag = Item(id, 0, Kind::kText);
    const Value* type = Item(id, 1, Kind::kGlobal);
    const Value* key = Item(id, 2, Kind::kText);
    const Value* elements = Item(id, 4, Kind::kInteger);
    if (id.kind != Kind::kSequence || tag == nullptr || tag->text != "storage" || type == nullptr ||
        !type->text.ends_with("Storage") || key == nullptr || elements == nullptr || elements->integer < 0) {
      return Fail("wanted a storage (\"storage\", type, key, device, elements)");
    }
    const ZipEntry* entry = archive_->Find(fmt::format("{}data/{}", prefix_, key->text));
    if (entry == nullptr)
      return Fail("its data {}data/{} is missing", Printable(prefix_), Printable(key->text));
    Storage storage{type->text, entry->data, static_cast<uint64_t>(elements->integer)};
    if (const auto readable = TypeOfStorage(type->text)) {
      const auto bytes = CheckedMul(storage.elements, GetDTypeInfo(*readable).block_bytes);
      if (bytes != entry->data.size()) {
        return Fail("{}data/{}: wanted {} elements of {}, found {} bytes", Printable(prefix_),
                    Printable(key->text), storage.elements, ShortName(type->text), entry->data.size());
      }
    }
    return storage;
  }

  std::span<const std::byte> bytes_;
  TorchFile file_;
  std::optional<ZipArchive> archive_;
  std::string prefix_;  // of the archive: "pytorch_model/"
  const Pickle* pickle_ = nullptr;
};

Result<TorchFile> TorchFile::Open(const std::string& path) {
  MVLM_ASSIGN(MappedFile mapping, MappedFile::Open(path));
  MVLM_ASSIGN(TorchFile file, Parse(mapping.bytes(), path));
  file.mapping_.push_back(std::move(mapping));
  return file;
}

Result<TorchFile> TorchFile::Parse(std::span<const std::byte> bytes, const std::string& name) {
  return TorchParser(bytes, name).Parse();
}

void TorchFile::Release(std::span<const std::byte> data) const {
  if (!mapping_.empty()) mapping_.front().Release(data);
}

}  // namespace mobilevlm
