# libmobilevlm, shared and static, made of the C and C++ interface and every folder below it; and what
# `cmake --install` puts where: program, libraries, headers, CMake package, pkg-config file, bundled model.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The folders that the interface links, itself included, and what they link from elsewhere.
set(folders capi)
set(externals "")
set(waiting capi)
while(waiting)
  list(POP_FRONT waiting folder)
  get_target_property(links ${folder} LINK_LIBRARIES)
  list(REMOVE_ITEM links mobilevlm_flags)
  foreach(link IN LISTS links)
    get_target_property(imported ${link} IMPORTED)
    if(imported)
      list(APPEND externals ${link})
    elseif(NOT link IN_LIST folders)
      list(APPEND folders ${link})
      list(APPEND waiting ${link})
    endif()
  endforeach()
endwhile()
list(REMOVE_DUPLICATES externals)

foreach(kind IN ITEMS SHARED STATIC)
  string(TOLOWER mobilevlm_${kind} library)
  add_library(${library} ${kind})
  foreach(folder IN LISTS folders)
    target_sources(${library} PRIVATE $<TARGET_OBJECTS:${folder}>)
  endforeach()
  target_link_libraries(${library} PRIVATE ${externals})
  set_target_properties(${library} PROPERTIES OUTPUT_NAME mobilevlm LINKER_LANGUAGE CXX)
endforeach()
set(exports ${CMAKE_SOURCE_DIR}/src/capi/exports.map)
set_target_properties(mobilevlm_shared PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} EXPORT_NAME mobilevlm LINK_DEPENDS ${exports})
target_link_options(mobilevlm_shared PRIVATE -Wl,--version-script=${exports} -Wl,--no-undefined)

install(TARGETS mobilevlm)
install(TARGETS mobilevlm_shared EXPORT mobilevlm-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS mobilevlm_static EXPORT mobilevlm-static-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/mobilevlm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES models/mini/text.gguf models/mini/mmproj.gguf DESTINATION ${CMAKE_INSTALL_DATADIR}/mobilevlm/mini)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/mobilevlm)

set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/mobilevlm)
configure_package_config_file(cmake/mobilevlm-config.cmake.in ${CMAKE_BINARY_DIR}/package/mobilevlm-config.cmake
                              INSTALL_DESTINATION ${package_directory} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/mobilevlm-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/mobilevlm-config.cmake
              ${CMAKE_BINARY_DIR}/package/mobilevlm-config-version.cmake
        DESTINATION ${package_directory})
install(EXPORT mobilevlm-targets NAMESPACE mobilevlm:: DESTINATION ${package_directory})
install(EXPORT mobilevlm-static-targets NAMESPACE mobilevlm:: DESTINATION ${package_directory})

# The package may be moved: everything in it is found from where its own file is.
file(RELATIVE_PATH pkgconfig_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" pkgconfig_to_prefix ${pkgconfig_to_prefix})
configure_file(cmake/mobilevlm.pc.in ${CMAKE_BINARY_DIR}/package/mobilevlm.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/mobilevlm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
