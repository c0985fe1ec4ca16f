// SPDX-License-Identifier: MIT
// One libFuzzer executable for all parsers: the first byte of an input says which one gets the rest.
// PVE_GPU_SEEDS=DIRECTORY writes the seeds there; PVE_GPU_PARSER=NAME fuzzes one parser only.
#include "tests/fuzz/parser.hpp"

#include "common/apt/update_output.hpp"
#include "common/base/json.hpp"
#include "common/core/follow_up.hpp"
#include "common/host/real_host.hpp"
#include "common/text/apt_sources.hpp"
#include "common/text/corosync_conf.hpp"
#include "common/text/efi_variable.hpp"
#include "common/text/grub_defaults.hpp"
#include "common/text/grub_script.hpp"
#include "common/text/guest_config.hpp"
#include "common/text/guest_sections.hpp"
#include "common/text/hostpci.hpp"
#include "common/text/kernel_cmdline.hpp"
#include "common/text/pci_mapping.hpp"
#include "common/text/property_string.hpp"
#include "common/text/pve_version.hpp"
#include "common/base/strings.hpp"
#include "common/text/typed_config.hpp"
#include "common/text/vgpu_types.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

namespace pvegpu::fuzz {
namespace {

using namespace text;
using Strings = std::vector<std::string>;

std::string joined(const Strings& words, const char* with) { return fmt::format("{}", fmt::join(words, with)); }

/// A literal with NUL characters in it.
template <std::size_t Size>
std::string bytes(const char (&literal)[Size]) {
  return {literal, Size - 1};
}

/// The input up to the first NUL, and what is behind it.
std::pair<std::string, std::string> two(const std::string& input) {
  const auto nul = std::min(input.find('\0'), input.size());
  return {input.substr(0, nul), input.substr(std::min(nul + 1, input.size()))};
}

// --- APT ----------------------------------------------------------------------------------------------------------------------
bool same(const AptSource& a, const AptSource& b) {
  return a.enabled == b.enabled && a.types == b.types && a.uris == b.uris && a.suites == b.suites && a.components == b.components &&
         a.signed_by == b.signed_by;
}

/// The sources but `changed` are as before; the wanted one is what `changed` is now.
void only_changed(const std::vector<AptSource>& before, const AptSources& after, std::size_t changed, const AptSource& wanted) {
  must(after.all().size() == before.size(), "an edit changes how many sources there are");
  for (std::size_t i = 0; i < before.size(); ++i)
    must(same(after.all()[i], i == changed ? wanted : before[i]), i == changed ? "the edit did not take" : "the edit took more");
}

void apt_sources(AptFormat format, const std::string& input) {
  const AptSources file(format, input);
  must(file.bytes() == input, "reading changes bytes");
  const auto& all = file.all();
  for (std::size_t i = 0; i < all.size() && i < 4; ++i) {
    AptSources edited = file;
    AptSource wanted = all[i];
    for (const bool on : {false, true, false}) {
      const bool was = edited.all()[i].enabled;
      const std::string bytes = edited.bytes();
      edited.set_enabled(i, on);
      wanted.enabled = on;
      only_changed(all, edited, i, wanted);
      must(was != on || edited.bytes() == bytes, "what is so is written again");
    }
    edited = file;
    wanted = all[i];
    edited.set_uri(i, "http://ftp.debian.org/debian");
    wanted.uris = {"http://ftp.debian.org/debian"};
    only_changed(all, edited, i, wanted);
    if (!all[i].components.empty()) {
      const std::string name = all[i].components.back();
      edited = file;
      wanted = all[i];
      edited.rename_component(i, name, "renamed");
      std::replace(wanted.components.begin(), wanted.components.end(), name, std::string("renamed"));
      only_changed(all, edited, i, wanted);
      edited = file;
      wanted = all[i];
      std::erase(wanted.components, name);
      if (!wanted.components.empty()) {
        edited.remove_component(i, name);
        only_changed(all, edited, i, wanted);
      }
    }
    edited = file;
    edited.remove(i);
    must(edited.all().size() == all.size() - 1, "more or less than one source is removed");
    for (std::size_t k = 0; k + 1 < all.size(); ++k) must(same(edited.all()[k], all[k < i ? k : k + 1]), "removing took more");
  }
  AptSource added;
  added.types = {"deb"};
  added.uris = {"http://ftp.debian.org/debian"};
  added.suites = {"bookworm"};
  added.components = {"main", "contrib"};
  added.signed_by = "/usr/share/keyrings/debian-archive-keyring.gpg";
  AptSources longer = file;
  longer.append(added);
  must(longer.bytes().starts_with(input), "appending changes what was there");
  must(longer.all().size() == all.size() + 1, "appending changes how many sources there are");
  must(same(longer.all().back(), added), "the appended source reads otherwise");
  for (std::size_t i = 0; i < all.size(); ++i) must(same(longer.all()[i], all[i]), "appending changes others");
}
void apt_one_line(const std::string& input) { apt_sources(AptFormat::one_line, input); }
void apt_deb822(const std::string& input) { apt_sources(AptFormat::deb822, input); }

void apt_update(const std::string& input) {
  const auto [out, err] = two(input);
  const auto problems = apt::parse_update_output(out, err);
  std::set<std::string> sources;
  for (const auto& problem : problems) {
    must(!problem.source.empty() || !problem.reason.empty(), "a problem of nothing");
    must(problem.source.empty() || sources.insert(problem.source + " " + problem.component).second, "a source is told twice");
    must(problem.reason.find('\n') == std::string::npos, "a reason is one line");
  }
  const auto judged =
      apt::judge_update({.exit_code = 0, .out = out, .err = err}, {Strings(sources.begin(), sources.end()), {}}, RealHost());
  must(judged.failure.has_value() != problems.empty(), "all sources are ours: a problem is a failure, none is none");
  must(judged.warnings.empty(), "there are no other sources");
  const auto theirs = apt::judge_update({.exit_code = 0, .out = out, .err = err}, {}, RealHost());
  must(theirs.warnings.size() == sources.size(), "a problem of others is lost");
}

// --- kernel command line --------------------------------------------------------------------------------------------------------
using Parameters = std::vector<KernelParameter>;

bool exactly(const Parameters& a, const Parameters& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const KernelParameter& x, const KernelParameter& y) { return x.key == y.key && x.value == y.value; });
}
bool balanced(const std::string& line) { return std::count(line.begin(), line.end(), '"') % 2 == 0; }

void kernel_cmdline(const std::string& input) {
  const auto [line, word] = two(input);
  const Parameters all = parse_kernel_cmdline(line);
  const auto one = parse_kernel_parameter(word);
  if (one) {
    const auto again = parse_kernel_parameter(one->print());
    must(again && again->key == one->key && again->value == one->value, "a parameter reads back otherwise");
    must(exactly(parse_kernel_cmdline(one->print()), {*one}), "a parameter is another one on a command line");
  }
  for (const KernelParameter& drop : one ? Parameters{*one} : all) {
    const std::string less = without_parameters(line, {drop});
    Parameters wanted;
    for (const KernelParameter& p : all)
      if (!(p == drop)) wanted.push_back(p);
    must(exactly(parse_kernel_cmdline(less), wanted), "dropping one parameter leaves it or changes others");
    must(wanted.size() != all.size() || less == line, "dropping nothing changes bytes");
  }
  if (one && balanced(line)) {
    const std::string more = with_parameters(line, {*one});
    Parameters wanted = all;
    wanted.push_back(*one);
    must(exactly(parse_kernel_cmdline(more), wanted), "adding one parameter does not add it or changes others");
  }
}

void grub_defaults(const std::string& input) {
  const auto [file, word] = two(input);
  const GrubDropin read = parse_grub_dropin(file);
  must(read.has_ours || read.parameters.empty(), "parameters of ours without a line of ours");
  const GrubCommand command = parse_grub_command(file);
  must(command.end <= file.size(), "a command ends behind its text");
  const auto one = parse_kernel_parameter(word);
  if (!one || !not_for_grub(*one).empty()) return;
  must(exactly(parse_grub_words(print_grub_word(*one)), {*one}), "GRUB gives the kernel another parameter");
  const std::string ours = print_grub_dropin({*one, {"quiet", {}}}, "m", file);
  must(exactly(parse_grub_dropin(print_grub_dropin({*one, {"quiet", {}}}, "m")).parameters, {*one, {"quiet", {}}}),
       "our drop-in reads back otherwise");
  must(parse_grub_dropin(ours).has_ours, "our line is not ours");
  const std::string less =
      edit_grub_parameters(file, [&](const KernelParameter& p) { return p == *one ? std::nullopt : std::optional<KernelParameter>(p); });
  must(grub_line_with(less, *one) == 0, "the parameter is still there");
  must(grub_line_with(file, *one) != 0 || less == file, "dropping nothing changes bytes");
  must(std::count(less.begin(), less.end(), '\n') == std::count(file.begin(), file.end(), '\n'), "a line is lost");
}

// --- Proxmox VE -----------------------------------------------------------------------------------------------------------------
void property_string(const std::string& input) {
  const auto properties = parse_property_string(input, "host");
  if (!properties) return;
  std::string printed;
  for (const auto& [key, value] : properties->pairs()) printed += key + "=" + value + ",";
  const auto again = parse_property_string(printed);
  must(again && again->pairs() == properties->pairs(), "properties read back otherwise");
}

void hostpci(const std::string& input) {
  const auto value = parse_hostpci(input);
  if (value) {
    const std::string printed = print_hostpci(*value);
    const auto again = parse_hostpci(printed);
    must(again && print_hostpci(*again) == printed, "a value of hostpci reads back otherwise");
  }
  const GuestOption option = guest_option(parse_guest_sections(input), "hostpci0");
  must(input.find('[') != input.npos || option.now == option.next, "something is pending without a section for it");
}

void guest_config(const std::string& input) {
  const GuestConfig config = parse_guest_config(input);
  for (std::size_t i = 0; i < config.hostpci.size(); ++i) {
    must(config.hostpci[i].names_device(), "a device is given by address or by mapping");
    must(i == 0 || config.hostpci[i - 1].slot <= config.hostpci[i].slot, "devices are in order");
  }
  for (const PciReservation& held : parse_pci_reservations(input)) must(static_cast<bool>(parse_pci_address(held.address)), "an address");
  if (const auto owner = parse_mdev_uuid(input))
    must(fmt::format("{:08d}-0000-0000-0000-{:012d}", owner->index, owner->vmid) == input, "an owner's UUID reads back otherwise");
}

void guest_sections(const std::string& input) {
  const auto sections = parse_guest_sections(input);
  must(!sections.empty() && sections[0].kind == GuestSection::Kind::current, "the first section is the current one");
  for (const GuestSection& section : sections)
    for (const auto& [key, value] : section.values)
      must(key.starts_with(numbered_key(key)) && numbered_key(key) != key, "a key without its number");
}

void section_config(const std::string& input) {
  const SectionConfig config = parse_section_config(input);
  std::set<std::string> ids;
  std::string printed;
  for (const ConfigSection& section : config.sections) {
    must(ids.insert(section.id).second, "a section is there twice");
    printed += section.id + "\n";
    for (const auto& [key, value] : section.lines) printed += "\t" + key + " " + value + "\n";
    printed += "\n";
  }
  const SectionConfig again = parse_section_config(printed);
  must(again.warnings.empty() && again.sections.size() == config.sections.size(), "sections read back otherwise");
  for (std::size_t i = 0; i < config.sections.size(); ++i)
    must(again.sections[i].id == config.sections[i].id && again.sections[i].lines == config.sections[i].lines,
         "a section reads back otherwise");
}

void typed_config(const std::string& input) {
  for (const TypedSection& section : parse_typed_config(input)) {
    must(!section.id.empty() && section.type == lower(section.type), "a section has an id and a type");
    for (const auto& [key, value] : section.lines) must(section.find(key) != nullptr, "a key is lost");
    (void)section.flag("disable");
  }
}

void pci_mapping(const std::string& input) {
  const std::string next = print_pci_mappings(parse_pci_mappings(input).mappings);
  const PciMappings reread = parse_pci_mappings(next);
  must(reread.warnings.empty() && reread.poisoned.empty() && print_pci_mappings(reread.mappings) == next,
       "what Proxmox VE writes reads back otherwise");
  std::string removed;
  const std::string healed = without_poison(input, &removed);
  must(parse_pci_mappings(healed).poisoned.empty() && healed.size() + removed.size() == input.size(),
       "healing leaves poison, or loses bytes");
  for (const PciMapping& mapping : parse_pci_mappings(input).mappings) {
    must(!mapping.entries.empty(), "a mapping without entries is none");
    std::string printed = mapping.id + "\n";
    for (const PciMapEntry& entry : mapping.entries) {
      Strings members;
      for (const PciAddress& member : entry.members) members.push_back(member.str());
      printed += fmt::format("\tmap node={},path={},id={}", entry.node, joined(members, ";"), entry.id);
      if (!entry.subsystem_id.empty()) printed += ",subsystem-id=" + entry.subsystem_id;
      if (entry.iommu_group) printed += fmt::format(",iommugroup={}", *entry.iommu_group);
      printed += "\n";
    }
    const auto again = parse_pci_mappings(printed).mappings;
    must(again.size() == 1 && again[0].entries.size() == mapping.entries.size(), "a mapping reads back otherwise");
    for (std::size_t i = 0; i < mapping.entries.size(); ++i)
      must(again[0].entries[i].members.size() == mapping.entries[i].members.size() &&
               again[0].entries[i].iommu_group == mapping.entries[i].iommu_group,
           "a map entry reads back otherwise");
  }
}

void corosync_conf(const std::string& input) {
  if (const auto conf = parse_corosync_conf(input)) {
    (void)conf->votes_of_nodes();
    must(conf->has_device || conf->votes_of_device() == 0, "no device has no votes");
  }
  for (const QuorumMember& member : parse_quorum_members(input)) must(member.id > 0, "the QDevice is no member");
}

void pci_address(const std::string& input) {
  const auto address = parse_pci_address(input);
  if (!address) return;
  const auto again = parse_pci_address(address->str());
  must(again && again->device == address->device && again->function == address->function, "an address reads back otherwise");
  must(address->covers(address->first_function()), "an address covers itself");
  must(pci_device_part(address->first_function()) == address->device, "the device of a function");
}

void pve_version(const std::string& input) {
  if (const auto version = parse_pvecfg(input))
    must(contains(input, version->version) && version->version.find('\'') == std::string::npos, "a version");
}

// --- firmware, drivers, words -------------------------------------------------------------------------------------------------
void efi_variable(const std::string& input) {
  (void)efi_byte(input);
  (void)efi_u16(input);
  for (const std::string& said : {efi_text(input), efi_boot_file(input)})
    must(said.size() <= input.size() / 2 && std::all_of(said.begin(), said.end(), [](char c) { return c > 0; }),
         "text of an EFI variable is ASCII");
}

void vgpu_types(const std::string& input) {
  (void)parse_mdev_description(input);
  (void)mdev_type_number(input);
  must(input.starts_with(vgpu_name_board(input)), "the board is how the type's name begins");
  const auto types = parse_creatable_types(input);
  if (!types) return;
  std::string printed = "ID    : vGPU Name\n";
  for (const CreatableType& type : *types) printed += fmt::format("{:<5} : {}\n", type.id, type.name);
  const auto again = parse_creatable_types(printed);
  must(again && *again == *types, "types read back otherwise");
}

void strings(const std::string& input) {
  must(from_base64(base64(input)) == input, "base64 reads back otherwise");
  (void)from_base64(input);
  must(joined(split(input, ','), ",") == input, "split loses bytes");
  must(words(joined(words(input), " ")) == words(input), "words are not words");
  must(trim(trim(input)) == trim(input) && trim_right(trim(input)) == trim(input), "trimmed is not trimmed");
  const std::string all = joined(lines(input), "\n");
  must(input == all || input == all + "\n", "lines lose bytes");
  Sha256 pieces;
  for (std::size_t at = 0; at < input.size(); at += 7) pieces.add(std::string_view(input).substr(at, 7));
  must(pieces.hex() == sha256_hex(input), "a hash of pieces is another one");
}

void json_text(const std::string& input) {
  const auto value = parse_json(input);
  if (!value) {
    must(!value.error().message.empty() && value.error().message.size() < 80, "an error that quotes");
    return;
  }
  const auto again = parse_json(dump_json(*value));
  must(again && dump_json(*again) == dump_json(*value), "JSON reads back otherwise");
  if (const auto work = FollowUp::from_json(*value)) {
    const auto second = FollowUp::from_json(work->to_json());
    must(second && second->id() == work->id(), "a follow-up reads back as other work");
  }
}

const std::vector<Parser>& parsers() {
  static const std::vector<Parser> all = {
      {"args",
       run_args,
       {R"({"what":"write","path":"/etc/a/b","text":"x","password":"correct horse battery"})",
        R"({"do":"tell_everything","pass":"correct horse battery","tokens":"one of the tokens,t","items":[{"name":"n","number":"3","key":"k"}]})",
        R"({"what":"fail","password":{"deep":["correct horse battery"]},"_ansible_check_mode":true,"_ansible_diff":true})",
        R"({"what":"crash_planner","number":1e400,"flag":"yes","list":"a,b"})", R"({"i":1})", R"([{"what":null}])"}},
      {"apt_one_line",
       apt_one_line,
       {"deb http://ftp.debian.org/debian bookworm main contrib # ours\n#deb-src http://ftp.debian.org/debian bookworm main\n",
        "# deb [arch=amd64 signed-by=/a.gpg] https://mirror.example.org/debian bookworm pve-no-subscription\r\n",
        "deb cdrom:[Debian 12]/ bookworm main\ndeb file:///x ./\ndeb http://a b",
        "deb http://a/] s c] x[#y\n#deb [a=b ]http://a/ s c] x[a b]z] #]\ndeb [[a=b] http://a/[ s [c"}},
      {"apt_deb822",
       apt_deb822,
       {"Types: deb deb-src\nURIs: http://ftp.debian.org/debian\nSuites: trixie trixie-updates\nComponents: main\n contrib\nSigned-By: "
        "/a.gpg\n\n"
        "# off\nTypes: deb\nURIs: http://mirror.example.org/x\nSuites: trixie\nComponents: pve-enterprise\nEnabled: no\n",
        "Types: deb\r\nURIs: http://a/\r\nSuites: ./\r\n\r\n",
        "Types: deb\nURIs:\n http://a\n http://b\nSuites: s\nComponents:\n c\n d\nenabled: false"}},
      {"apt_update",
       apt_update,
       {bytes("Hit:1 http://ftp.debian.org/debian bookworm InRelease\nErr:2 https://mirror.example.org/x bookworm InRelease\n  401  "
              "Unauthorized\n"
              "\0E: Failed to fetch https://mirror.example.org/x/dists/bookworm/InRelease  401  Unauthorized\n"
              "W: Skipping acquire of configured file 'x' as repository 'http://a b InRelease' doesn't have the component 'c' (component "
              "misspelt?)\n"),
        bytes("\0E: The repository 'http://u:p@a/ b Release' does not have a Release file.\nE: Conflicting values set for option Signed-By "
              "regarding "
              "source http://a/ b: x != y\nE: The method driver /usr/lib/apt/methods/tor could not be found.\n")}},
      {"kernel_cmdline",
       kernel_cmdline,
       {bytes("root=/dev/sda1 ro quiet console=tty0 dyndbg=\"file x +p\" -- single\0intel_iommu=on"), bytes("  \"a=b c\"  quiet\t\0quiet"),
        bytes("a-b=1 a_b=1\0key=\"two words\"")}},
      {"grub_defaults",
       grub_defaults,
       {bytes("GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet splash iommu=pt\"\n export GRUB_CMDLINE_LINUX='quiet'\n\0quiet"),
        bytes("# Made by pve.gpu; `state: absent` takes it back.\nGRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT "
              "a=\\$b\"\n\0a=\"$b `c`\"")}},
      {"property_string", property_string, {"mapping=a40,mdev=nvidia-562,pcie=1", "0000:41:00.0;0000:42:00,pcie=1,,x-vga=on"}},
      {"hostpci",
       hostpci,
       {"mapping=a40,mdev=nvidia-562,pcie=1,rombar=off", "0000:41:00.0;42:00,x-vga=yes,vendor-id=0x10DE,romfile=a.rom,driver=keep",
        "hostpci0: 41:00\n[PENDING]\ndelete: !hostpci0,net0\nhostpci0: 42:00\n"}},
      {"guest_config",
       guest_config,
       {"name: a\nhostpci0: 0000:41:00.4,mdev=nvidia-63\nhostpci12: mapping=a40\n[snap]\nhostpci1: 41:00\n",
        "0000:41:00.4 201 pid:4242\n41:00 1 time:17\n", "00000001-0000-0000-0000-000000000201"}},
      {"guest_sections",
       guest_sections,
       {"#x\nscsi0: local:vm-1,size=1G\n[PENDING]\ndelete: net0\n[snap1]\nlxc.a = b:c\n[special:cloudinit]\n"}},
      {"section_config", section_config, {"a40\n\tmap node=a,path=0000:41:00.0,id=10de:2235\n\tmdev 1\n\nb\n  key\n \n# c\nb\n"}},
      {"typed_config", typed_config, {"dir: local\n\tpath /var/lib/vz\n\tcontent iso\n\nZFSPool: z\n\tdisable\n\nvm:100\n"}},
      {"pci_mapping",
       pci_mapping,
       {"a40\n\tdescription x\n\tmap id=10de:2235,node=pve1,path=0000:41:00.4;0000:41:00.5,iommugroup=17,subsystem-id=10de:145a\n\tmdev\n\n"
        "x\n\tmap node=a,path=z,id=1\n\tlive-migration-capable 2\n"}},
      {"corosync_conf",
       corosync_conf,
       {"totem {\n cluster_name: c # x\n}\nnodelist {\n node {\n name: a\n nodeid: 1\n quorum_votes: 2\n }\n}\nquorum {\n device {\n "
        "votes: 3\n }\n two_node: 1\n}\n",
        "    Nodeid      Votes    Qdevice Name\n0x00000001          1    A,V,NMW a (local)\n0 1 Qdevice\n"}},
      {"pci_address", pci_address, {"0000:41:00.0", "10000:E1:1f", "41:00.7"}},
      {"pve_version", pve_version, {"sub version {\n    return '8.4.1';\n}\nsub version_text { return '8'; }"}},
      {"efi_variable",
       efi_variable,
       {bytes("\7\0\0\0G\0R\0U\0B\0\0\0"),
        bytes("\7\0\0\0\1\0\0\0\24\0b\0\0\0\2\1\14\0PNP0abcd\4\4\22\0\\\0E\0F\0I\0\\\0x\0\0\0\177\377\4\0")}},
      {"vgpu_types",
       vgpu_types,
       {"ID    : vGPU Name\n1145  : NVIDIA L40S-1B\n1146  : NVIDIA L40S-2B\n",
        "num_heads=4, frl_config=60, framebuffer=1024M, max_instance=8", "low_gm_size: 128MB\nhigh_gm_size: 512MB\n", "vfio-pci-575",
        "GRID P40-1Q"}},
      {"strings", strings, {"YWJjZA==", "a, b\tc\n\n", " x "}},
      {"json",
       json_text,
       {R"({"a":[1,-2,3.5e-7,"\u00e4\ud834\udd1e",null,true]})",
        R"({"kind":"program","argv":["a","b"],"when":"now","on_failure":"revert","rank":5,"timeout":60,"data":[]})"}},
  };
  return all;
}

}  // namespace
}  // namespace pvegpu::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  using namespace pvegpu;
  const char* directory = std::getenv("PVE_GPU_SEEDS");
  if (!directory) return 0;
  RealHost disk;
  const auto& all = fuzz::parsers();
  for (std::size_t p = 0; p < all.size(); ++p)
    for (std::size_t i = 0; i < all[p].seeds.size(); ++i)
      disk.write_file(fmt::format("{}/{}-{}", directory, all[p].name, i), static_cast<char>(p) + all[p].seeds[i]).or_fail("write a seed");
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace pvegpu;
  const auto& all = fuzz::parsers();
  static const char* const only = std::getenv("PVE_GPU_PARSER");
  if (size == 0) return 0;
  const fuzz::Parser& parser = all[data[0] % all.size()];
  if (only && std::strcmp(only, parser.name) != 0) return -1;
  const std::string input(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    parser.run(input);
  } catch (const fuzz::Broken& broken) {
    std::fprintf(stderr, "fuzz: %s: %s\n", parser.name, broken.what.c_str());
    std::abort();
  }
  return 0;
}
