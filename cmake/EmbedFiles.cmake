# Files of the source tree as constants of the program.
#
# mobilevlm_embed_files(OUT web.cc HEADER serve/web/assets.h FILES path=file ...): makes OUT in the build directory, the
# definition of Assets() that HEADER declares, with one Asset per FILES entry: what is served at `path`.
# The same file, run by `cmake -P`, is the generator.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(MOBILEVLM_EMBED_FILES ${CMAKE_CURRENT_LIST_FILE})
  function(mobilevlm_embed_files)
    cmake_parse_arguments(ARG "" "OUT;HEADER" "FILES" ${ARGN})
    set(paths "")
    foreach(entry IN LISTS ARG_FILES)
      string(REGEX REPLACE "^[^=]*=" "" file ${entry})
      list(APPEND paths ${file})
    endforeach()
    add_custom_command(
      OUTPUT ${ARG_OUT}
      COMMAND ${CMAKE_COMMAND} -DOUT=${ARG_OUT} -DHEADER=${ARG_HEADER} "-DFILES=${ARG_FILES}" -P ${MOBILEVLM_EMBED_FILES}
      DEPENDS ${paths} ${MOBILEVLM_EMBED_FILES}
      WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
      VERBATIM)
  endfunction()
  return()
endif()

set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_svg "image/svg+xml")
set(type_png "image/png")

set(arrays "")
set(table "")
set(index 0)
foreach(entry IN LISTS FILES)
  string(REGEX MATCH "^([^=]*)=(.*)$" ignored ${entry})
  set(path ${CMAKE_MATCH_1})
  set(file ${CMAKE_MATCH_2})
  string(REGEX REPLACE "^.*\\." "" extension ${file})
  if(NOT DEFINED type_${extension})
    message(FATAL_ERROR "${file}: no content type known for .${extension}")
  endif()
  file(READ ${file} bytes HEX)
  file(SHA256 ${file} hash)
  string(SUBSTRING ${hash} 0 16 hash)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  string(APPEND arrays "constexpr char kBytes${index}[] = {${bytes}};\n")
  string(APPEND table "    {\"${path}\", \"${type_${extension}}\", \"\\\"${hash}\\\"\", {kBytes${index}, sizeof(kBytes${index})}},\n")
  math(EXPR index "${index} + 1")
endforeach()

file(WRITE ${OUT}.tmp "// Made by cmake/EmbedFiles.cmake.
#include \"${HEADER}\"

namespace mobilevlm::serve {
namespace {

${arrays}
constexpr Asset kAssets[] = {
${table}};

}  // namespace

std::span<const Asset> Assets() { return kAssets; }

}  // namespace mobilevlm::serve
")
file(RENAME ${OUT}.tmp ${OUT})
