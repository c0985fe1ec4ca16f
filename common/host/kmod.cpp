// SPDX-License-Identifier: MIT
// Kernel modules by libkmod.
#include "common/host/real_host.hpp"

#include <dlfcn.h>
#include <libkmod.h>

#include <algorithm>

namespace pvegpu {
namespace {

/// libkmod, opened by the first question for it. It brings libcrypto along: linked, it costs each start a millisecond and 2 MB.
void* library() {
  static void* const handle = ::dlopen("libkmod.so.2", RTLD_LAZY | RTLD_LOCAL);
  return handle;
}

void* symbol(const char* name) {
  void* const found = ::dlsym(library(), name);
  if (!found) throw ModuleError(fmt::format("libkmod.so.2 has no function {}: install the package libkmod2 of this Debian release", name));
  return found;
}

#define KMOD(function) (*reinterpret_cast<decltype(&::function)>(symbol(#function)))

struct UnrefContext {
  void operator()(kmod_ctx* p) const { KMOD(kmod_unref)(p); }
};
struct UnrefModule {
  void operator()(kmod_module* p) const { KMOD(kmod_module_unref)(p); }
};
using Context = std::unique_ptr<kmod_ctx, UnrefContext>;
using Module = std::unique_ptr<kmod_module, UnrefModule>;

bool is_module_name(const std::string& name) {
  return !name.empty() && name.size() < 56 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; });
}

/// sysfs and libkmod spell names with underscores.
std::string sysfs_name(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

Error kmod_failed(std::string_view what, int negative_errno) { return Error::from_errno(what, -negative_errno); }

Result<Context> open_library(const char* directory, const char* const* config) {
  if (!library()) return Error{"libkmod.so.2 can't be loaded: install the package libkmod2"};
  Context context(KMOD(kmod_new)(directory, config));
  if (!context) return Error{"libkmod can't be started"};
  KMOD(kmod_set_log_priority)(context.get(), 0);
  return context;
}

Result<Module> open_module(kmod_ctx* context, const std::string& name) {
  kmod_module* module = nullptr;
  if (const int code = KMOD(kmod_module_new_from_name)(context, name.c_str(), &module); code < 0)
    return kmod_failed("kernel module " + name, code);
  return Module(module);
}

}  // namespace

Result<KernelModule> RealHost::kernel_module(const std::string& name, const std::string& release) const {
  if (!is_module_name(name)) return Error{fmt::format("'{}' is not a kernel module's name", name)};
  const std::string directory = "/lib/modules/" + release;
  if (!exists(directory)) return Error{fmt::format("{} is missing: no modules of kernel {} are installed", directory, release), ENOENT};
  const char* no_config = nullptr;
  const Context context = PVEGPU_TRY(open_library(at(directory).c_str(), &no_config));
  const Module module = PVEGPU_TRY(open_module(context.get(), name));

  KernelModule out;
  // Never libkmod's own view of what is loaded: it needs /proc/modules.
  out.loaded = read_attr("/sys/module/" + sysfs_name(name) + "/initstate").value_or("") == "live";
  out.built_in = KMOD(kmod_module_get_initstate)(module.get()) == KMOD_MODULE_BUILTIN;
  if (const char* path = KMOD(kmod_module_get_path)(module.get())) out.file = path;
  if (!root_.empty() && out.file.starts_with(root_)) out.file.erase(0, root_.size());
  out.available = out.built_in || !out.file.empty();
  if (out.built_in) out.loaded = true;
  kmod_list* info = nullptr;
  if (out.available && KMOD(kmod_module_get_info)(module.get(), &info) >= 0) {
    for (const kmod_list* entry = info; entry; entry = KMOD(kmod_list_next)(info, entry)) {
      const std::string_view key = KMOD(kmod_module_info_get_key)(entry);
      const std::string value = KMOD(kmod_module_info_get_value)(entry);
      if (key == "version") out.version = value;
      if (key == "license") out.license = value;
      if (key == "parmtype" || key == "parm") out.parameters.push_back(value.substr(0, value.find(':')));
    }
    KMOD(kmod_module_info_free_list)(info);
  }
  std::sort(out.parameters.begin(), out.parameters.end());
  out.parameters.erase(std::unique(out.parameters.begin(), out.parameters.end()), out.parameters.end());
  return out;
}

Result<> RealHost::load_module(const std::string& name, const std::string& options) {
  if (!is_module_name(name)) return Error{fmt::format("'{}' is not a kernel module's name", name)};
  const Context context = PVEGPU_TRY(open_library(nullptr, nullptr));
  const Module module = PVEGPU_TRY(open_module(context.get(), name));
  const int code =
      KMOD(kmod_module_probe_insert_module)(module.get(), 0, options.empty() ? nullptr : options.c_str(), nullptr, nullptr, nullptr);
  if (code < 0 && code != -EEXIST) return kmod_failed("load kernel module " + name, code);
  return {};
}

Result<> RealHost::unload_module(const std::string& name) {
  if (!is_module_name(name)) return Error{fmt::format("'{}' is not a kernel module's name", name)};
  const Context context = PVEGPU_TRY(open_library(nullptr, nullptr));
  const Module module = PVEGPU_TRY(open_module(context.get(), name));
  if (const int code = KMOD(kmod_module_remove_module)(module.get(), O_NONBLOCK); code < 0)
    return kmod_failed("unload kernel module " + name, code);
  return {};
}

}  // namespace pvegpu
