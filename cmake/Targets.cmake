# mobilevlm_library(NAME SOURCES a.cc ... DEPS folder ... [LIBS external ...] [TEST_LIBS external ...] [HEADERS_ONLY])
#
# One folder of src/ is one static library that links only what it may include (tools/check_includes
# holds the table). Sources are listed by hand; every *_test.cc beside them is picked up, so that no
# test can be left out, and becomes one executable NAME_test registered with ctest.
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
if(MOBILEVLM_FUZZ)
  target_compile_options(mobilevlm_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

function(mobilevlm_library NAME)
  cmake_parse_arguments(ARG "HEADERS_ONLY" "" "SOURCES;DEPS;LIBS;TEST_LIBS" ${ARGN})
  if(ARG_HEADERS_ONLY)
    add_library(${NAME} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(${NAME} STATIC ${ARG_SOURCES})
    set(scope PUBLIC)
  endif()
  target_include_directories(${NAME} ${scope} ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(${NAME} ${scope} mobilevlm_flags ${ARG_DEPS} ${ARG_LIBS})

  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  if(tests AND MOBILEVLM_TESTS AND (NOT MOBILEVLM_TEST_FOLDERS OR NAME IN_LIST MOBILEVLM_TEST_FOLDERS))
    add_executable(${NAME}_test ${tests})
    target_link_libraries(${NAME}_test PRIVATE ${NAME} GTest::gtest_main GTest::gmock ${ARG_TEST_LIBS})
    target_compile_definitions(${NAME}_test PRIVATE MOBILEVLM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    set(filter)
    if(MOBILEVLM_TEST_FILTER_${NAME})
      set(filter TEST_FILTER ${MOBILEVLM_TEST_FILTER_${NAME}})
    endif()
    gtest_discover_tests(${NAME}_test TEST_PREFIX ${MOBILEVLM_BUILD_NAME}/${NAME}. ${filter} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
  endif()
endfunction()
