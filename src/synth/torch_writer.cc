#include "synth/torch_writer.h"

#include <map>

#include "base/atomic_file.h"
#include "base/check.h"
#include "synth/zip_writer.h"

namespace mobilevlm {
namespace {

constexpr std::string_view kOrderedDict = "collections\nOrderedDict\n";
constexpr std::string_view kRebuildTensor = "torch._utils\n_rebuild_tensor_v2\n";

std::string_view StorageGlobal(DType type) {
  switch (type) {
    case DType::kF32:
      return "torch\nFloatStorage\n";
    case DType::kF16:
      return "torch\nHalfStorage\n";
    case DType::kBF16:
      return "torch\nBFloat16Storage\n";
    default:
      MVLM_CHECK(false, "{} has no torch storage", DTypeName(type));
  }
  return {};
}

uint64_t Elements(const std::vector<uint64_t>& shape) {
  uint64_t elements = 1;
  for (const uint64_t extent : shape) elements *= extent;
  return elements;
}

// The opcodes of pickle protocol 2 that tensors need. Python numbers every object that it may meet again
// ("memo"), in the order of their completion; so does this.
class Pickler {
 public:
  Pickler() { bytes_ += "\x80\x02"; }

  void Op(char opcode) { bytes_ += opcode; }

  // An object that stands in many places, as Python's interned strings and functions do.
  void Shared(char opcode, std::string_view text) {
    const auto [place, first] = shared_.try_emplace(std::string(text), next_);
    if (!first) return Numbered('h', 'j', place->second);
    Literal(opcode, text);
  }
  void Global(std::string_view lines) { Shared('c', lines); }
  void SharedString(std::string_view text) { Shared('X', text); }
  void String(std::string_view text) { Literal('X', text); }

  void Integer(uint64_t value) {
    if (value <= 0xFF) {
      Op('K');
      Number(value, 1);
    } else if (value <= 0xFFFF) {
      Op('M');
      Number(value, 2);
    } else if (value <= 0x7FFFFFFF) {
      Op('J');
      Number(value, 4);
    } else {
      Op('\x8a');  // as many bytes as the number and its sign take
      int width = 1;
      while (width < 8 && value >> (8 * width - 1) != 0) ++width;
      Number(static_cast<uint64_t>(width), 1);
      Number(value, width);
    }
  }

  void Tuple(std::span<const uint64_t> values) {
    if (values.empty()) return Op(')');
    constexpr std::string_view kShort = "\x85\x86\x87";
    if (values.size() > kShort.size()) Op('(');
    for (const uint64_t value : values) Integer(value);
    Op(values.size() > kShort.size() ? 't' : kShort[values.size() - 1]);
    Remember();
  }

  // The object just completed gets the next number.
  void Remember() { Numbered('q', 'r', next_++); }

  const std::string& bytes() const { return bytes_; }

 private:
  void Literal(char opcode, std::string_view text) {
    Op(opcode);
    if (opcode == 'X') Number(text.size(), 4);
    bytes_ += text;
    Remember();
  }
  void Numbered(char short_form, char long_form, uint32_t number) {
    Op(number <= 0xFF ? short_form : long_form);
    Number(number, number <= 0xFF ? 1 : 4);
  }
  void Number(uint64_t value, int width) {
    for (int i = 0; i < width; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xFF);
  }

  std::string bytes_;
  uint32_t next_ = 0;
  std::map<std::string, uint32_t> shared_;
};

void PickleTensor(Pickler& out, const StreamedTensor& tensor, size_t index) {
  std::vector<uint64_t> strides(tensor.shape.size(), 1);
  for (size_t i = strides.size(); i-- > 1;) strides[i - 1] = strides[i] * tensor.shape[i];

  out.Global(kRebuildTensor);
  out.Op('(');
  out.Op('(');  // the storage's persistent id
  out.SharedString("storage");
  out.Global(StorageGlobal(tensor.type));
  out.String(std::to_string(index));
  out.SharedString("cpu");
  out.Integer(Elements(tensor.shape));
  out.Op('t');
  out.Remember();
  out.Op('Q');
  out.Integer(0);  // offset
  out.Tuple(tensor.shape);
  out.Tuple(strides);
  out.Op('\x89');  // requires_grad = False
  out.Global(kOrderedDict);
  out.Op(')');
  out.Op('R');
  out.Remember();
  out.Op('t');
  out.Remember();
  out.Op('R');
  out.Remember();
}

}  // namespace

std::string TorchPickle(std::span<const StreamedTensor> tensors) {
  constexpr size_t kBatch = 1000;  // items that Python sets at once
  Pickler out;
  out.Op('}');
  out.Remember();
  for (size_t begin = 0; begin < tensors.size(); begin += kBatch) {
    const size_t end = std::min(begin + kBatch, tensors.size());
    if (end - begin > 1) out.Op('(');
    for (size_t i = begin; i < end; ++i) {
      out.String(tensors[i].name);
      PickleTensor(out, tensors[i], i);
    }
    out.Op(end - begin > 1 ? 'u' : 's');
  }
  out.Op('.');
  return out.bytes();
}

Status WriteTorchFile(const std::string& path, std::span<const StreamedTensor> tensors) {
  MVLM_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  ZipWriter zip(file);
  MVLM_TRY(zip.Add("archive/data.pkl", TorchPickle(tensors)));
  for (size_t i = 0; i < tensors.size(); ++i) {
    const StreamedTensor& tensor = tensors[i];
    uint64_t size = 0;
    MVLM_TRY(zip.Add(fmt::format("archive/data/{}", i), [&](const ZipWriter::ByteSink& sink) {
      return tensor.stream([&](std::span<const std::byte> bytes) {
        size += bytes.size();
        return sink(bytes);
      });
    }));
    MVLM_CHECK(size == Elements(tensor.shape) * GetDTypeInfo(tensor.type).block_bytes, "{}: {} bytes",
               tensor.name, size);
  }
  MVLM_TRY(zip.Add("archive/version", "3\n"));
  MVLM_TRY(zip.Finish());
  return file.Commit();
}

}  // namespace mobilevlm
