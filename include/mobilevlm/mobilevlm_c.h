/* MobileVLM for C and every language that can call C: the same engine as mobilevlm.h, with a stable ABI.
 *
 *   char* error = NULL;
 *   mobilevlm_load_options load = MOBILEVLM_LOAD_OPTIONS_INIT;
 *   load.text = "text.gguf";
 *   load.mmproj = "mmproj.gguf";
 *   mobilevlm_model* model = mobilevlm_model_load(&load, &error);
 *   mobilevlm_session* session = mobilevlm_session_new(model, NULL, &error);
 *   const mobilevlm_picture* dog = mobilevlm_picture_from_file("dog.jpg", &error);
 *   mobilevlm_answer* answer = mobilevlm_session_ask(session, &dog, 1, "What is this?", NULL, &error);
 *   if (answer == NULL) { fprintf(stderr, "%s\n", error); mobilevlm_free(error); }
 *   else puts(mobilevlm_answer_text(answer));
 *
 * Errors. A function that can fail takes `char** error` last. It then returns NULL (or 0, where it returns
 * int) and sets *error to one line for the user, UTF-8, freed by mobilevlm_free(). `error` itself may be
 * NULL. After success *error is NULL. A NULL handle is such an error, not a crash. Nothing throws; nothing
 * exits.
 *
 * Ownership. What a function named _new, _load, _from_ or _ask returns is the caller's, freed by the _free
 * function of its type, which accepts NULL. A session keeps its model alive, so handles may be freed in any
 * order. Strings in options and pictures are copied; strings got from a handle live as long as the handle.
 *
 * Threads. A model is immutable: any threads may use it at once. A session, and a picture while it is being
 * asked about, serve one thread at a time; different sessions of one model may be used from different threads
 * and take turns at every step (one picture, one stretch of prompt, one token). An answer is immutable. A
 * cancellation may be used from any thread and from a signal handler. Callbacks run on the thread that
 * called.
 *
 * ABI. Handles are opaque. Structs begin with their size, which the _INIT macros set; every other member
 * zero means its default, and later versions only append members: a program built against an older header of
 * the same MOBILEVLM_ABI_VERSION runs with a newer library. Exported symbols carry the version MOBILEVLM_C_1.
 */
#ifndef MOBILEVLM_MOBILEVLM_C_H_
#define MOBILEVLM_MOBILEVLM_C_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOBILEVLM_ABI_VERSION 1

int mobilevlm_abi_version(void);     /* MOBILEVLM_ABI_VERSION of the library that is running */
const char* mobilevlm_version(void); /* "0.1.0" */

/* Frees an error line. NULL is fine. */
void mobilevlm_free(char* error);

/* --- Model --- */

typedef struct mobilevlm_model mobilevlm_model;

typedef enum {
  MOBILEVLM_KV_F16 = 0,
  MOBILEVLM_KV_F32 = 1,
  MOBILEVLM_KV_Q8_0 = 2,
} mobilevlm_kv_type;

typedef struct {
  size_t struct_size;
  const char* text;          /* GGUF file of the language model (architecture llama) */
  const char* mmproj;        /* GGUF file of vision tower and projector (architecture clip) */
  int32_t threads;           /* 0: one per CPU */
  int32_t context;           /* positions a session can hold; 0: what the model was trained with */
  int32_t kv;                /* mobilevlm_kv_type: element type of the key and value cache */
  int32_t float_activations; /* 1: they stay float where weights are quantised; slower by far */
  const char* isa;           /* "generic", "avx2", ...; NULL: MOBILEVLM_ISA if set, else the best */
  uint64_t memory_limit;     /* bytes; 0: what the system has available now */
} mobilevlm_load_options;
#define MOBILEVLM_LOAD_OPTIONS_INIT \
  { sizeof(mobilevlm_load_options), 0, 0, 0, 0, 0, 0, 0, 0 }

/* Maps both files and checks that they fit each other and the memory. */
mobilevlm_model* mobilevlm_model_load(const mobilevlm_load_options* options, char** error);
void mobilevlm_model_free(mobilevlm_model* model);

typedef struct {
  size_t struct_size;
  const char* text_path;
  const char* mmproj_path;
  const char* projector; /* "ldpv2", "ldp", "mlp" */
  const char* isa;       /* the kernels in use */
  int32_t threads;
  int32_t image_size;    /* side in pixels */
  int32_t visual_tokens; /* positions one picture takes */
  int32_t vision_layers; /* blocks that run */
  int32_t layers;
  int32_t hidden;
  int32_t heads;
  int32_t vocab;
  int32_t context;
  int32_t reserved;
  uint64_t weights_bytes;
  uint64_t kv_cache_bytes;    /* per session */
  uint64_t activations_bytes; /* shared by all sessions */
  double load_ms;
} mobilevlm_model_info;
#define MOBILEVLM_MODEL_INFO_INIT \
  { sizeof(mobilevlm_model_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Fills as much of *info as its struct_size says. 1, or 0 after an error. */
int mobilevlm_model_describe(const mobilevlm_model* model, mobilevlm_model_info* info, char** error);

/* --- Pictures: JPEG, PNG or WebP, or plain pixels. Decoded when they are asked about. --- */

typedef struct mobilevlm_picture mobilevlm_picture;

mobilevlm_picture* mobilevlm_picture_from_file(const char* path, char** error);
/* The bytes of an encoded picture; copied. `name` is for errors and may be NULL. */
mobilevlm_picture* mobilevlm_picture_from_memory(const void* bytes, size_t size, const char* name,
                                                 char** error);
/* rgb: [height, width, 3]; copied. */
mobilevlm_picture* mobilevlm_picture_from_rgb(int32_t width, int32_t height, const uint8_t* rgb,
                                              char** error);
void mobilevlm_picture_free(mobilevlm_picture* picture);

typedef enum {
  MOBILEVLM_FIT_PAD = 0,  /* to a square, then resize: how all released models see pictures */
  MOBILEVLM_FIT_CROP = 1, /* resize the shorter side, then cut the centre out */
} mobilevlm_fit;

/* Each returns 1, or 0 after an error. */
int mobilevlm_picture_set_fit(mobilevlm_picture* picture, mobilevlm_fit fit, char** error);
/* 0: leave the picture as stored, whatever its EXIF orientation says. Default 1. */
int mobilevlm_picture_set_apply_exif(mobilevlm_picture* picture, int apply, char** error);
/* A picture of more pixels is an error before it is decoded. */
int mobilevlm_picture_set_max_pixels(mobilevlm_picture* picture, int64_t pixels, char** error);

/* --- Session: a conversation about pictures --- */

typedef struct mobilevlm_session mobilevlm_session;
typedef struct mobilevlm_cancellation mobilevlm_cancellation;
typedef struct mobilevlm_answer mobilevlm_answer;

typedef enum {
  MOBILEVLM_TEMPLATE_V1 = 0,    /* all released models */
  MOBILEVLM_TEMPLATE_PLAIN = 1, /* the picture alone, whatever the prompt: stage 1 */
} mobilevlm_template;

typedef struct {
  size_t struct_size;
  int32_t chat_template; /* mobilevlm_template */
  int32_t reserved;
  const char* system; /* NULL: the template's own */
} mobilevlm_session_options;
#define MOBILEVLM_SESSION_OPTIONS_INIT \
  { sizeof(mobilevlm_session_options), 0, 0, 0 }

/* A new, empty conversation; options may be NULL. */
mobilevlm_session* mobilevlm_session_new(const mobilevlm_model* model,
                                         const mobilevlm_session_options* options, char** error);
void mobilevlm_session_free(mobilevlm_session* session);

/* Forgets the turns; what the next conversation shares with this one is not computed again. */
void mobilevlm_session_reset(mobilevlm_session* session);

/* The next piece of an answer: `size` bytes of whole UTF-8 characters, not terminated. Must not call into
 * this session; to end the answer, request its cancellation. */
typedef void (*mobilevlm_on_text)(void* user_data, const char* text, size_t size);

#define MOBILEVLM_SPECULATE_AUTO 0
#define MOBILEVLM_SPECULATE_OFF (-1)

typedef struct {
  size_t struct_size;
  int32_t max_tokens;       /* 0: 512 */
  float temperature;        /* 0: greedy */
  int32_t top_k;            /* 0: off */
  float top_p;              /* 0: off, like 1 */
  float min_p;              /* 0: off */
  float repetition_penalty; /* 0: off, like 1 */
  uint64_t seed;
  const char* const* stop; /* [stop_count] further strings that end the answer; never part of it */
  size_t stop_count;
  const char* json_schema; /* the answer is JSON that this JSON Schema allows; NULL: free text */
  int32_t logprobs;        /* 1: tell each token's probability (mobilevlm_answer_token) */
  int32_t top_logprobs;    /* 0..20: and as many of the likeliest others */
  int32_t speculate;       /* MOBILEVLM_SPECULATE_..., or 1..16 ids tried ahead; the answer is the same */
  int32_t reserved;
  mobilevlm_on_text on_text;                  /* NULL: the answer comes only as a whole */
  void* user_data;                            /* for on_text */
  const mobilevlm_cancellation* cancellation; /* NULL: none */
} mobilevlm_ask_options;
#define MOBILEVLM_ASK_OPTIONS_INIT \
  { sizeof(mobilevlm_ask_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Generates an answer, and adds a turn unless it is empty; blocks. The pictures take the places of the marks
 * "<image>" in `prompt`, those left over go in front; `pictures` may be NULL if the count is 0, `options` may
 * be NULL. After an error the session is as before. */
mobilevlm_answer* mobilevlm_session_ask(mobilevlm_session* session, const mobilevlm_picture* const* pictures,
                                        size_t picture_count, const char* prompt,
                                        const mobilevlm_ask_options* options, char** error);

/* --- Cancellation: ends every ask that was given it, at its next step, now and later --- */

mobilevlm_cancellation* mobilevlm_cancellation_new(void); /* NULL only if memory is exhausted */
void mobilevlm_cancellation_request(mobilevlm_cancellation* cancellation);
void mobilevlm_cancellation_reset(mobilevlm_cancellation* cancellation); /* may be used again */
void mobilevlm_cancellation_free(mobilevlm_cancellation* cancellation);  /* after the asks have returned */

/* --- Answer --- */

typedef enum {
  MOBILEVLM_STOP_EOS = 0,
  MOBILEVLM_STOP_STRING = 1,
  MOBILEVLM_STOP_MAX_TOKENS = 2,
  MOBILEVLM_STOP_CONTEXT_FULL = 3,
  MOBILEVLM_STOP_CANCELLED = 4,
} mobilevlm_stop_reason;

typedef struct {
  size_t struct_size;
  double image_ms;          /* decode, resize, vision tower, projector; all pictures of this call */
  double prompt_ms;         /* prompt through the language model */
  double generate_ms;       /* all tokens after the first */
  int32_t images;           /* pictures that went through the tower */
  int32_t prompt_positions; /* text ids and visual tokens of the whole prompt */
  int32_t reused_positions; /* of these, already in the cache from the call before */
  int32_t generated;        /* ids, the end-of-sequence id included */
  int32_t drafted;          /* ids tried ahead by speculation */
  int32_t accepted;         /* of these, the ones the model confirmed */
} mobilevlm_stats;
#define MOBILEVLM_STATS_INIT \
  { sizeof(mobilevlm_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0 }

typedef struct {
  size_t struct_size;
  int32_t id;
  float logprob;     /* natural logarithm; the model's own, before temperature and filters */
  const char* bytes; /* [size], may be part of a UTF-8 character */
  size_t size;
} mobilevlm_token;
#define MOBILEVLM_TOKEN_INIT \
  { sizeof(mobilevlm_token), 0, 0, 0, 0 }

const char* mobilevlm_answer_text(const mobilevlm_answer* answer); /* UTF-8; "" for NULL */
mobilevlm_stop_reason mobilevlm_answer_stop_reason(const mobilevlm_answer* answer);
const char* mobilevlm_stop_reason_name(mobilevlm_stop_reason reason); /* "eos", "stop", "max_tokens", ... */
const int32_t* mobilevlm_answer_ids(const mobilevlm_answer* answer,
                                    size_t* count); /* without end-of-sequence */
int mobilevlm_answer_stats(const mobilevlm_answer* answer, mobilevlm_stats* stats, char** error);

/* If logprobs were asked for: token `index` of the ids, or of its likeliest choices the one of `rank`
 * (0 the likeliest; MOBILEVLM_CHOSEN the token itself). 1, or 0 after an error. */
#define MOBILEVLM_CHOSEN (-1)
int mobilevlm_answer_token(const mobilevlm_answer* answer, size_t index, int rank, mobilevlm_token* token,
                           char** error);

void mobilevlm_answer_free(mobilevlm_answer* answer);

#ifdef __cplusplus
}
#endif

#endif /* MOBILEVLM_MOBILEVLM_C_H_ */
