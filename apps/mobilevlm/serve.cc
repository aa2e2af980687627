// mobilevlm serve: the HTTP server (src/serve), from flags to SIGTERM.
#include <malloc.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "commands.h"
#include "serve/api_keys.h"
#include "serve/server.h"
#include "serve/stop_signals.h"

namespace mobilevlm::app {
namespace {

struct ServeFlags {
  LoadOptions load;
  serve::ServerOptions server;
  std::string key_file;
  uint64_t max_body_mib = 16;
  int64_t max_megapixels = 50;
  uint64_t picture_cache_mib = 64;
};

// The folder's name for the usual text.gguf, else the file's.
std::string ModelName(const std::string& path) {
  const std::filesystem::path file = std::filesystem::absolute(path);
  const std::string stem = file.stem().string();
  return stem == "text" ? file.parent_path().filename().string() : stem;
}

Status Serve(ServeFlags& flags) {
#if defined(__GLIBC__)
  ::mallopt(M_ARENA_MAX, 1);  // not a heap per connection: each would keep what its largest requests left
#endif
  serve::StopSignals signals;

  serve::ServerOptions& options = flags.server;
  MVLM_TRY(UseBundledModelIfNone(flags.load));
  if (!flags.key_file.empty()) {
    MVLM_ASSIGN(const std::vector<std::string> keys, serve::ReadKeyFile(flags.key_file));
    options.api_keys.insert(options.api_keys.end(), keys.begin(), keys.end());
  }
  if (!options.media.folder.empty() && !std::filesystem::is_directory(options.media.folder)) {
    return Fail("--media-path {}: there is no such directory", options.media.folder);
  }
  if (options.model_name.empty()) options.model_name = ModelName(flags.load.text);
  options.max_body = flags.max_body_mib << 20;
  options.media.max_pixels = flags.max_megapixels * 1'000'000;
  options.batch.picture_cache_bytes = flags.picture_cache_mib << 20;

  MVLM_ASSIGN(const Model model, Model::Load(flags.load));
  MVLM_ASSIGN(const std::unique_ptr<serve::Server> server, serve::Server::Create(model, options));
  signals.Watch(*server);  // who reads the line below may stop it
  const std::string host =
      options.host.find(':') == std::string::npos ? options.host : "[" + options.host + "]";
  fmt::print("mobilevlm: listening on http://{}:{} (model {}, {} streams)\n", host, server->port(),
             options.model_name, options.batch.streams);
  std::fflush(stdout);
  return signals.Run();
}

void AddLimitFlags(CLI::App& command, ServeFlags& flags) {
  serve::ServerOptions& options = flags.server;
  command.add_option("--parallel", options.batch.streams, "Requests answered at the same time")
      ->check(WholeNumber(1, 64))
      ->capture_default_str();
  command.add_option("--queue", options.queue, "Requests that may wait; more get status 429")
      ->check(WholeNumber(0, 1024))
      ->capture_default_str();
  command.add_option("--timeout", options.request_seconds, "Seconds a request may take")
      ->check(WholeNumber(1, 86400))
      ->capture_default_str();
  command.add_option("--max-tokens", options.most_tokens, "The most tokens a request may ask for")
      ->check(WholeNumber(1))
      ->capture_default_str();
  command.add_option("--default-max-tokens", options.default_max_tokens, "Tokens if a request does not say")
      ->check(WholeNumber(1))
      ->capture_default_str();
  command.add_option("--max-body", flags.max_body_mib, "Largest request, MiB")
      ->check(WholeNumber(1, 1024))
      ->capture_default_str();
  command.add_option("--max-pixels", flags.max_megapixels, "Largest picture, millions of pixels")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  command
      .add_option("--prefill-chunk", options.batch.prefill_chunk,
                  "Positions of a prompt read between two tokens")
      ->check(WholeNumber(1, 128))
      ->capture_default_str();
  command
      .add_option("--picture-cache", flags.picture_cache_mib, "Memory for pictures asked about again, MiB")
      ->check(WholeNumber(0, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--drain-delay", options.drain_delay_seconds,
                  "Seconds after SIGTERM in which connections are still accepted")
      ->check(WholeNumber(0, 3600))
      ->capture_default_str();
  command.add_option("--drain-timeout", options.drain_seconds, "Seconds after that for answers to end")
      ->check(WholeNumber(0, 3600))
      ->capture_default_str();
}

}  // namespace

void AddServeCommand(CLI::App& app, Status& status) {
  CLI::App* command = app.add_subcommand(
      "serve",
      "Answer over HTTP: an OpenAI-compatible API and a web page\n\n"
      "Examples:\n"
      "  mobilevlm serve                                     the bundled model at http://127.0.0.1:8080\n"
      "  mobilevlm serve -m text.gguf --mmproj mmproj.gguf --parallel 8\n"
      "  mobilevlm serve --host 0.0.0.0 --api-key-file keys.txt\n"
      "  curl http://127.0.0.1:8080/v1/chat/completions -d '{\"model\": \"mini\",\n"
      "    \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'\n\n"
      "Prints one line when it listens; logs are JSON lines on standard error, without what was asked.\n"
      "SIGTERM or Ctrl-C ends it when all accepted requests are answered. docs/serving.md has the rest.\n");
  const auto flags = std::make_shared<ServeFlags>();
  serve::ServerOptions& options = flags->server;
  AddModelFlags(*command, flags->load);
  command->add_option("--host", options.host, "Address to listen on")->capture_default_str();
  command->add_option("--port", options.port, "Port (0: any free one)")
      ->check(WholeNumber(0, 65535))
      ->capture_default_str();
  command->add_option(
      "--model-name", options.model_name,
      "What requests call the model (default: the directory of text.gguf, else the file's name)");
  command->add_option("--api-key", options.api_keys, "Key that requests must bring (may be repeated)")
      ->expected(1)
      ->take_all();
  command->add_option("--api-key-file", flags->key_file, "Such keys, one per line");
  command->add_flag("--allow-no-key", options.allow_no_key,
                    "Listen on other addresses than loopback without a key");
  command->add_option("--cors-origin", options.cors_origin,
                      "Origin whose pages may call the API from a browser (default: none)");
  command->add_option("--media-path", options.media.folder, "Allow file:// pictures below this directory");
  AddLimitFlags(*command, *flags);
  command->add_flag("--log-prompts", options.log_prompts, "Log what is asked and answered too");
  command->add_flag("--quiet", options.quiet, "No logs");
  command->callback([flags, &status] { status = Serve(*flags); });
}

}  // namespace mobilevlm::app
