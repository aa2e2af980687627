# What every target has in common, and the two functions that make targets:
#   mobilevlm_library(NAME SOURCES a.cc ... DEPS folder ... ...)   a folder of src/ and its tests
#   mobilevlm_test(NAME PREFIX p SOURCES a.cc ... LIBS ... ...)    one executable of tests
include(GoogleTest OPTIONAL)

# Test names begin with the build they ran in: "release/base.Random...", "dev/...".
get_filename_component(MOBILEVLM_BUILD_NAME ${CMAKE_BINARY_DIR} NAME)

add_library(mobilevlm_flags INTERFACE)
target_compile_features(mobilevlm_flags INTERFACE cxx_std_20)
# gcc 12 sees uninitialised members in moved-from tl::expected values; the warning is noise there.
target_compile_options(mobilevlm_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(mobilevlm_flags INTERFACE -Wno-maybe-uninitialized)
endif()
if(MOBILEVLM_SANITIZE)
  target_compile_options(mobilevlm_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
                                                   -fno-omit-frame-pointer)
  target_link_options(mobilevlm_flags INTERFACE -fsanitize=address,undefined)
endif()
if(MOBILEVLM_THREAD_SANITIZE)
  target_compile_options(mobilevlm_flags INTERFACE -fsanitize=thread)
  target_link_options(mobilevlm_flags INTERFACE -fsanitize=thread)
endif()
if(MOBILEVLM_LIBRARY)
  # Everything may become part of the shared library, where nobody replaces its functions.
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  target_compile_options(mobilevlm_flags INTERFACE -fno-semantic-interposition)
endif()
# What libFuzzer learns from; in the folders that parse foreign bytes, because it makes every branch dearer.
set(MOBILEVLM_FUZZED base checkpoint data gguf image sample schema tensor text)
set(MOBILEVLM_FUZZ_OPTIONS -fsanitize-coverage=inline-8bit-counters,indirect-calls,trace-cmp,pc-table)

# Headers that most sources include are parsed once per build, not once per source. A source includes what it uses
# nevertheless: the arm64 build precompiles nothing and fails where one does not.
set(MOBILEVLM_PRECOMPILED
  <algorithm> <array> <cmath> <cstdint> <cstring> <filesystem> <functional> <map> <memory> <numeric> <optional> <span> <string>
  <string_view> <unordered_map> <utility> <vector> <fmt/format.h> <nlohmann/json.hpp> <tl/expected.hpp>)
function(mobilevlm_precompile NAME)  # HEADER...; NAME is used with REUSE_FROM
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/${NAME}.cc CONTENT "")
  add_library(${NAME} OBJECT ${CMAKE_BINARY_DIR}/${NAME}.cc)
  target_link_libraries(${NAME} PRIVATE mobilevlm_flags ${MOBILEVLM_FMT} tl::expected nlohmann_json::nlohmann_json)
  target_precompile_headers(${NAME} PRIVATE ${ARGN})
endfunction()
# gcc 12 forgets that a precompiled header is the system's, and then warns where nothing is wrong (-Wrestrict and
# -Warray-bounds in std::string, the latter depending on how long the path of this source tree is): its builds
# precompile for tests and the subcommands only, and do not heed those warnings there.
set(MOBILEVLM_PRECOMPILES OFF)
set(MOBILEVLM_PRECOMPILED_OPTIONS)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(MOBILEVLM_PRECOMPILED_OPTIONS -Wno-restrict -Wno-array-bounds)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(MOBILEVLM_PRECOMPILES ON)
  mobilevlm_precompile(precompiled ${MOBILEVLM_PRECOMPILED})
endif()
if(MOBILEVLM_TESTS)
  # The compiler spends most of its time optimising assertions that run once; nobody waits for those.
  set(MOBILEVLM_TEST_OPTIONS -O1)
  if(MOBILEVLM_SANITIZE)
    set(MOBILEVLM_TEST_OPTIONS -O0)
  endif()
  list(APPEND MOBILEVLM_TEST_OPTIONS ${MOBILEVLM_PRECOMPILED_OPTIONS})
  mobilevlm_precompile(precompiled_test ${MOBILEVLM_PRECOMPILED} <gtest/gtest.h> <gmock/gmock.h>)
  target_link_libraries(precompiled_test PRIVATE GTest::gtest GTest::gmock)
  target_compile_options(precompiled_test PRIVATE ${MOBILEVLM_TEST_OPTIONS})
  set_target_properties(precompiled_test PROPERTIES POSITION_INDEPENDENT_CODE OFF)
endif()

add_custom_target(tests)  # every executable of tests, and what they start

# mobilevlm_test(NAME PREFIX prefix SOURCES a.cc ... [LIBS target ...] [RUNS executable] [PROPERTIES name value ...])
#
# ctest knows each test of the executable NAME as BUILD/PREFIX.Suite.Case. RUNS is an executable that the tests start,
# MOBILEVLM_EXECUTABLE to them; PROPERTIES are ctest's (labels, RUN_SERIAL). A build may run some cases only:
# MOBILEVLM_TEST_FILTER_prefix, in the syntax of --gtest_filter.
function(mobilevlm_test NAME)
  cmake_parse_arguments(ARG "" "PREFIX;RUNS" "SOURCES;LIBS;PROPERTIES" ${ARGN})
  add_executable(${NAME} ${ARG_SOURCES})
  # With fmt, whose definitions the precompiled header was made with.
  target_link_libraries(${NAME} PRIVATE mobilevlm_flags ${ARG_LIBS} ${MOBILEVLM_FMT} GTest::gtest_main GTest::gmock)
  target_compile_options(${NAME} PRIVATE ${MOBILEVLM_TEST_OPTIONS})
  target_compile_definitions(${NAME} PRIVATE MOBILEVLM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  set_target_properties(${NAME} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_precompile_headers(${NAME} REUSE_FROM precompiled_test)
  if(ARG_RUNS)
    target_compile_definitions(${NAME} PRIVATE MOBILEVLM_EXECUTABLE="$<TARGET_FILE:${ARG_RUNS}>"
                                               MOBILEVLM_EMULATOR="${CMAKE_CROSSCOMPILING_EMULATOR}")
    add_dependencies(${NAME} ${ARG_RUNS})
  endif()
  add_dependencies(tests ${NAME})
  set(filter)
  if(MOBILEVLM_TEST_FILTER_${ARG_PREFIX})
    set(filter TEST_FILTER ${MOBILEVLM_TEST_FILTER_${ARG_PREFIX}})
  endif()
  gtest_discover_tests(${NAME} TEST_PREFIX ${MOBILEVLM_BUILD_NAME}/${ARG_PREFIX}. ${filter} DISCOVERY_TIMEOUT 60
                       PROPERTIES TIMEOUT 300 ${ARG_PROPERTIES})
endfunction()

# mobilevlm_library(NAME SOURCES a.cc ... DEPS folder ... [LIBS external ...] [TEST_LIBS external ...]
#                   [HEADERS_ONLY] [NOT_PRECOMPILED] [NOT_UNITED])
#
# One folder of src/ is one static library that links only what it may include (tools/check_includes
# holds the table). Sources are listed by hand; every *_test.cc beside them is picked up, so that no
# test can be left out, and becomes one executable NAME_test registered with ctest.
#
# Presets compile several sources of a target at once (CMAKE_UNITY_BUILD): most of a compiler's time goes into headers and
# templates. NOT_UNITED is for folders whose sources have private names in common, and for those that do the engine's
# arithmetic: there each file is optimised alone.
function(mobilevlm_library NAME)
  cmake_parse_arguments(ARG "HEADERS_ONLY;NOT_PRECOMPILED;NOT_UNITED" "" "SOURCES;DEPS;LIBS;TEST_LIBS" ${ARGN})
  if(ARG_HEADERS_ONLY)
    add_library(${NAME} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(${NAME} STATIC ${ARG_SOURCES})
    set(scope PUBLIC)
    if(MOBILEVLM_FUZZ AND NAME IN_LIST MOBILEVLM_FUZZED)
      target_compile_options(${NAME} PRIVATE ${MOBILEVLM_FUZZ_OPTIONS})
    endif()
    if(MOBILEVLM_PRECOMPILES AND NOT ARG_NOT_PRECOMPILED)
      target_precompile_headers(${NAME} REUSE_FROM precompiled)
    endif()
    if(ARG_NOT_UNITED)
      set_target_properties(${NAME} PROPERTIES UNITY_BUILD OFF)
    endif()
  endif()
  target_include_directories(${NAME} ${scope} ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(${NAME} ${scope} mobilevlm_flags ${ARG_DEPS} ${ARG_LIBS})

  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  mobilevlm_wants_tests(${NAME} wanted)
  if(tests AND wanted)
    mobilevlm_test(${NAME}_test PREFIX ${NAME} SOURCES ${tests} LIBS ${NAME} ${ARG_TEST_LIBS})
    if(ARG_NOT_UNITED)
      set_target_properties(${NAME}_test PROPERTIES UNITY_BUILD OFF)
    endif()
  endif()
endfunction()

# Whether the tests of a folder of src/ or tests/ are to be built (MOBILEVLM_TEST_FOLDERS).
function(mobilevlm_wants_tests FOLDER RESULT)
  set(wanted OFF)
  if(MOBILEVLM_TESTS AND (NOT MOBILEVLM_TEST_FOLDERS OR FOLDER IN_LIST MOBILEVLM_TEST_FOLDERS))
    set(wanted ON)
  endif()
  set(${RESULT} ${wanted} PARENT_SCOPE)
endfunction()
