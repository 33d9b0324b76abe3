# `cmake --install`: the program, the rooms as static libraries, headers, and what find_package(kinglet) reads.
# The rooms that need LibTorch are an export set of their own, so that a program that only reads files or stores
# checkpoints does not look for LibTorch: find_package(kinglet) against find_package(kinglet COMPONENTS train).
include(CMakePackageConfigHelpers)
set(package_folder lib/cmake/kinglet)

get_property(rooms GLOBAL PROPERTY KINGLET_ROOMS)
get_property(torch_rooms GLOBAL PROPERTY KINGLET_TORCH_ROOMS)
install(TARGETS ${rooms} EXPORT kinglet_targets ARCHIVE DESTINATION lib)
install(TARGETS ${torch_rooms} EXPORT kinglet_torch_targets ARCHIVE DESTINATION lib)
install(EXPORT kinglet_targets NAMESPACE kinglet:: FILE kinglet-targets.cmake DESTINATION ${package_folder})
install(EXPORT kinglet_torch_targets NAMESPACE kinglet:: FILE kinglet-torch-targets.cmake
        DESTINATION ${package_folder})
install(DIRECTORY kinglet DESTINATION include FILES_MATCHING PATTERN "*.h" PATTERN cli EXCLUDE)

configure_package_config_file(cmake/kinglet-config.cmake.in ${PROJECT_BINARY_DIR}/kinglet-config.cmake
                              INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kinglet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kinglet-config.cmake ${PROJECT_BINARY_DIR}/kinglet-config-version.cmake
        DESTINATION ${package_folder})

install(TARGETS kinglet RUNTIME DESTINATION bin)
if(TARGET kinglet_torch)
  install(TARGETS kinglet_torch LIBRARY DESTINATION lib/kinglet)
endif()
install(DIRECTORY recipes DESTINATION share/kinglet)
