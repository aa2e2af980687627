// What ThreadSanitizer must not be asked about. Debian's libcpp-httplib is not compiled for it, so its
// function-local statics (the mark behind a chunked body) are initialised under guards that nobody sees.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
extern "C" const char* __tsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier)
extern "C" const char* __tsan_default_suppressions() { return "called_from_lib:libcpp-httplib.so\n"; }
#endif
#endif
