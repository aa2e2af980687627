// mobilevlm chat: a conversation about pictures in the terminal.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "commands.h"
#include "engine/picture.h"

namespace mobilevlm::app {
namespace {

struct ChatFlags {
  LoadOptions load;
  GenerateOptions generate;
  PromptFlags prompt;
  std::vector<std::string> images;
};

constexpr const char* kHelp =
    "  /image FILE   show a picture with the next question (several are allowed)\n"
    "  /reset        forget the conversation\n"
    "  /help         this list\n"
    "  /quit         leave (so does Ctrl-D; Ctrl-C ends an answer, or the chat between answers)\n";

// Lines of standard input. std::getline would swallow the interruption by Ctrl-C.
class LineReader {
 public:
  // Nothing at the end of the input, or when Ctrl-C interrupts the wait.
  std::optional<std::string> Next(const std::atomic<bool>& interrupted) {
    for (;;) {
      if (const size_t end = buffer_.find('\n'); end != std::string::npos) {
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return line;
      }
      if (interrupted.load()) return std::nullopt;
      // A time limit, because a Ctrl-C between the line above and the wait would go unnoticed.
      pollfd input{STDIN_FILENO, POLLIN, 0};
      if (::poll(&input, 1, 200) <= 0) continue;
      char chunk[4096];
      const ssize_t n = ::read(STDIN_FILENO, chunk, sizeof(chunk));
      if (n <= 0) {
        if (buffer_.empty()) return std::nullopt;
        return std::exchange(buffer_, {});  // a last line without its end
      }
      buffer_.append(chunk, static_cast<size_t>(n));
    }
  }

 private:
  std::string buffer_;
};

std::string_view TrimSpace(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

Status CheckPicturePath(const std::string& path) {
  if (path == "-")
    return Fail("chat reads its questions from standard input, so no picture can come from it");
  return {};
}

class Chat {
 public:
  Chat(const Model& model, Session session, const ChatFlags& flags)
      : model_(model), session_(std::move(session)), flags_(flags) {
    for (const std::string& image : flags.images) AddPicture(image);
  }

  void Loop() {
    std::atomic<bool>& interrupted = InterruptFlag();
    flags_.generate.cancel = &interrupted;
    LineReader reader;
    const bool terminal = ::isatty(STDIN_FILENO) != 0;
    if (terminal) fmt::print(stderr, "{}", kHelp);
    for (;;) {
      if (terminal) fmt::print(stderr, "> ");
      const std::optional<std::string> line = reader.Next(interrupted);
      if (!line) break;
      const std::string_view text = TrimSpace(*line);
      if (text == "/quit" || text == "/exit") return;
      if (!text.empty()) Handle(text);
      interrupted.store(false);  // it ended the answer, not the chat
    }
    if (terminal) fmt::print(stderr, "\n");
    interrupted.store(false);  // a wished end, not an accident: exit code 0
  }

 private:
  void AddPicture(const std::string& path) {
    if (const Status readable = CheckPicturePath(path); !readable) {
      fmt::print(stderr, "mobilevlm: {}\n", readable.error().message);
      return;
    }
    pictures_.push_back(Picture::FromFile(path));
    pictures_.back().fit = flags_.prompt.fit;
  }

  void Handle(std::string_view text) {
    if (text == "/help") {
      fmt::print(stderr, "{}", kHelp);
    } else if (text == "/reset") {
      session_.Reset();
      pictures_.clear();
    } else if (text.starts_with("/image ")) {
      AddPicture(std::string(TrimSpace(text.substr(7))));
    } else if (text.starts_with('/')) {
      fmt::print(stderr, "mobilevlm: unknown command {} (/help lists them)\n", text);
    } else {
      Ask(text);
    }
  }

  // An Error ends the turn, not the chat; its pictures are dropped, because they may be its cause.
  void Ask(std::string_view question) {
    const auto answer = session_.Ask(pictures_, question, flags_.generate, [](std::string_view text) {
      std::fwrite(text.data(), 1, text.size(), stdout);
      std::fflush(stdout);
    });
    pictures_.clear();
    if (!answer) {
      fmt::print(stderr, "mobilevlm: {}\n", answer.error().message);
      return;
    }
    std::fputs("\n", stdout);
    std::fflush(stdout);
    if (answer->stop == StopReason::kContextFull) {
      fmt::print(stderr, "mobilevlm: the context of {} positions is full; /reset starts anew\n",
                 model_.Describe().context);
    }
    fmt::print(stderr, "{}\n", TimingLine(model_.Describe(), answer->stats));
  }

  const Model& model_;
  Session session_;
  ChatFlags flags_;
  std::vector<Picture> pictures_;  // to go with the next question
};

Status RunChat(ChatFlags& flags) {
  MVLM_TRY(UseBundledModelIfNone(flags.load));
  MVLM_ASSIGN(const Model model, Model::Load(flags.load));
  if (flags.prompt.session.chat_template != PromptTemplate::kV1) {
    return Fail("--template plain has no turns; chat needs v1");
  }
  MVLM_ASSIGN(Session session, model.NewSession(flags.prompt.session));
  // A picture on the command line that cannot be read ends the chat before it begins.
  for (const std::string& image : flags.images) {
    MVLM_TRY(CheckPicturePath(image));
    MVLM_TRY(engine::LoadPicture(Picture::FromFile(image)));
  }
  Chat(model, std::move(session), flags).Loop();
  return {};
}

}  // namespace

void AddChatCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "chat",
      "Talk about pictures, several turns\n\n"
      "Examples:\n"
      "  mobilevlm chat --image scene.png\n"
      "  mobilevlm chat -m text.gguf --mmproj mmproj.gguf --temp 0.2\n"
      "  printf '/image scene.png\\nWhat is this?\\nWhat colour is it?\\n' | mobilevlm chat\n");
  const auto flags = std::make_shared<ChatFlags>();
  AddModelFlags(*command, flags->load);
  command->add_option("--image", flags->images, "Pictures for the first question");
  AddPromptFlags(*command, flags->prompt);
  AddGenerateFlags(*command, flags->generate);
  command->callback([flags, &status] { status = RunChat(*flags); });
}

}  // namespace mobilevlm::app
