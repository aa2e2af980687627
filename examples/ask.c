/* Asks one question about one picture and prints the answer as it comes.
 *
 *   ask_c TEXT.gguf MMPROJ.gguf PICTURE QUESTION
 */
#include <mobilevlm/mobilevlm_c.h>
#include <stdio.h>

static void print_piece(void* user_data, const char* text, size_t size) {
  (void)user_data;
  fwrite(text, 1, size, stdout);
  fflush(stdout);
}

/* 0, or 1 after an error, which is in *error. Handles that were not made are NULL; freeing those does
 * nothing. */
static int ask(char** argv, char** error) {
  mobilevlm_load_options load = MOBILEVLM_LOAD_OPTIONS_INIT;
  mobilevlm_ask_options options = MOBILEVLM_ASK_OPTIONS_INIT;
  mobilevlm_session* session = NULL;
  mobilevlm_picture* picture = NULL;
  mobilevlm_answer* answer = NULL;

  load.text = argv[1];
  load.mmproj = argv[2];
  mobilevlm_model* model = mobilevlm_model_load(&load, error);
  if (model != NULL) session = mobilevlm_session_new(model, NULL, error);
  if (session != NULL) picture = mobilevlm_picture_from_file(argv[3], error);
  if (picture != NULL) {
    const mobilevlm_picture* pictures[1] = {picture};
    options.max_tokens = 64;
    options.on_text = print_piece;
    answer = mobilevlm_session_ask(session, pictures, 1, argv[4], &options, error);
  }
  if (answer != NULL) {
    mobilevlm_stats stats = MOBILEVLM_STATS_INIT;
    printf("\n");
    if (mobilevlm_answer_stats(answer, &stats, NULL)) {
      fprintf(stderr, "picture %.0f ms, prompt %.0f ms, %d tokens\n", stats.image_ms, stats.prompt_ms,
              stats.generated);
    }
  }
  const int failed = answer == NULL;
  mobilevlm_answer_free(answer);
  mobilevlm_picture_free(picture);
  mobilevlm_session_free(session);
  mobilevlm_model_free(model);
  return failed;
}

int main(int argc, char** argv) {
  char* error = NULL;
  if (argc != 5) {
    fprintf(stderr, "usage: %s TEXT.gguf MMPROJ.gguf PICTURE QUESTION\n", argv[0]);
    return 2;
  }
  if (mobilevlm_abi_version() != MOBILEVLM_ABI_VERSION) {
    fprintf(stderr, "compiled for ABI %d, the library has %d\n", MOBILEVLM_ABI_VERSION,
            mobilevlm_abi_version());
    return 2;
  }
  if (ask(argv, &error)) {
    fprintf(stderr, "%s\n", error != NULL ? error : "out of memory");
    mobilevlm_free(error);
    return 2;
  }
  return 0;
}
