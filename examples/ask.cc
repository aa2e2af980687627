// Asks questions about one picture, one after the other, and prints the answers as they come.
//
//   ask_cpp TEXT.gguf MMPROJ.gguf PICTURE QUESTION...
#include <mobilevlm/mobilevlm.h>

#include <cstdio>
#include <span>

namespace {

mobilevlm::Status Ask(std::span<char*> arguments) {
  auto model = mobilevlm::Model::Load({.text = arguments[0], .mmproj = arguments[1]});
  if (!model) return tl::unexpected(model.error());
  auto session = model->NewSession();
  if (!session) return tl::unexpected(session.error());

  // The picture belongs to the first question; the others go on from there.
  std::vector<mobilevlm::Picture> pictures{mobilevlm::Picture::FromFile(arguments[2])};
  for (const char* question : arguments.subspan(3)) {
    const auto answer = session->Ask(pictures, question, {.max_tokens = 64}, [](std::string_view piece) {
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      std::fflush(stdout);
    });
    if (!answer) return tl::unexpected(answer.error());
    std::printf("\n");
    std::fprintf(stderr, "%.1f tokens/s\n", answer->stats.tokens_per_second());
    pictures.clear();
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: %s TEXT.gguf MMPROJ.gguf PICTURE QUESTION...\n", argv[0]);
    return 2;
  }
  if (const auto status = Ask({argv + 1, argv + argc}); !status) {
    std::fprintf(stderr, "%s\n", status.error().message.c_str());
    return 2;
  }
}
