// SPDX-License-Identifier: MIT
// Files as people and releases leave them: what reading and writing keeps, and that nothing is lost in silence. Each of the bases is
// spelled as a release or a hand spells it, and each damage is done to each of them.
#include "common/mapping/mapping_wish.hpp"
#include "common/text/pci_mapping.hpp"
#include "common/text/section_config.hpp"
#include "common/base/sha1.hpp"
#include "common/base/strings.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <limits>
#include <set>

namespace pvegpu::text {
namespace {

struct Sample {
  std::string name, text;
};

const std::vector<Sample>& bases() {
  static const std::vector<Sample> all = {
      {"8.0 of the manual",
       "device1\n\tmap id=0002:0003,node=server1,path=0000:01:00.0\n\tmap id=0002:0003,node=server2,path=0000:02:00\n\n"},
      {"8.0 of the GUI",
       "a2000\n\tmap id=10de:2531,iommugroup=31,node=pve1,path=0000:81:00.0,subsystem-id=10de:151d\n\tmdev 0\n\n"
       "nic\n\tmap id=8086:1521,iommugroup=12,node=pve2,path=0000:05:00,subsystem-id=8086:0001\n\tdescription two ports\n\n"},
      {"8.4",
       "a40\n\tmap id=10de:2235,iommugroup=77,node=pve1,path=0000:41:00.4,subsystem-id=10de:0000\n"
       "\tmap id=10de:2235,iommugroup=78,node=pve1,path=0000:41:00.5,subsystem-id=10de:0000\n"
       "\tdescription A40, 8 GB desktops\n\tlive-migration-capable 1\n\tmdev 1\n\n"},
      {"9, several nodes and domains",
       "l40s\n\tmap id=10de:26b9,node=pve9,path=10000:01:00.4,iommugroup=4,subsystem-id=10de:0000\n"
       "\tmap description=slot 3,id=10de:26b9,node=pve-10,path=0001:01:00.4\n\tmdev 1\n\n"
       "arc\n\tmap id=8086:e20b,node=pve9,path=0000:03:00.0;0000:04:00.0,subsystem-id=8086:1100\n\n"},
      {"typed by hand, blanks and another order",
       "gpu_A-1\n    map   node=pve1,path=0000:01:00,id=10DE:2484,,\n  mdev\n   description   with  blanks   \n\n\n\n"
       "gpu_B\n map path=0000:02:00,node=pve1,iommugroup=007,id=10de:2484\n\n"},
      {"no empty line at the end",
       "one\n\tmap id=10de:2484,node=pve1,path=0000:01:00\n\ntwo\n\tmap id=10de:2484,node=pve2,path=0000:01:00"},
  };
  return all;
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != text.npos; at += with.size()) text.replace(at, what.size(), with);
  return text;
}

const std::string poison = "broken\n\tdescription was a card\n\tmap id=zz,node=pve1,path=0000:01:00\n\n";

struct Damage {
  const char* name;
  std::function<std::string(const std::string&)> done;
};

const std::vector<Damage>& damages() {
  static const std::vector<Damage> all = {
      {"as it is", [](const std::string& t) { return t; }},
      {"CRLF", [](const std::string& t) { return replaced(t, "\n", "\r\n"); }},
      {"comments", [](const std::string& t) { return "# by hand\n" + replaced(t, "\tmap", "\t# next\n\tmap"); }},
      {"the same section before",
       [](const std::string& t) { return t.substr(0, t.find('\n')) + "\n\tmap id=1111:2222,node=old,path=0000:09:00\n\n" + t; }},
      {"unknown keys", [](const std::string& t) { return replaced(t, "\tmap", "\tcolor green\n\tmap"); }},
      {"blanks at ends of lines", [](const std::string& t) { return replaced(t, "\n", " \t\n"); }},
      {"no empty lines", [](const std::string& t) { return replaced(t, "\n\n", "\n"); }},
      {"poison in front", [](const std::string& t) { return poison + t; }},
      {"poison behind", [](const std::string& t) { return t + "\n\n" + replaced(poison, "broken", "empty\n\nbroken"); }},
      {"upper-case paths",
       [](const std::string& t) {
         return t + "\n\nshout\n\tmap id=10de:2484,node=pve1,path=0000:0A:00\n\tmap id=10de:2484,node=pve1,path=0000:0a:00\n\n";
       }},
      {"an id that is none", [](const std::string& t) { return "4090\n\tmap id=10de:2484,node=pve1,path=0000:0a:00\n\n" + t; }},
      {"twice the same key",
       [](const std::string& t) {
         return t + "\n\ntwice\n\tmap id=10de:2484,node=pve1,path=0000:0a:00\n\tmdev 1\n\tmdev 0\n\tdescription a\n\tdescription b\n\n";
       }},
      {"a flag that is none",
       [](const std::string& t) { return t + "\n\nflag\n\tmap id=10de:2484,node=pve1,path=0000:0a:00\n\tmdev yes\n\n"; }},
      {"cut off", [](const std::string& t) { return t.substr(0, t.size() * 2 / 3); }},
  };
  return all;
}

std::vector<Sample> corpus() {
  std::vector<Sample> out = {{"empty", ""}, {"one newline", "\n"}, {"comments only", "# nothing\n#\n"}, {"only poison", poison}};
  for (const Sample& base : bases())
    for (const Damage& damage : damages()) out.push_back({base.name + ", " + damage.name, damage.done(base.text)});
  return out;
}

/// The largest file that pmxcfs takes, mappings of one VF each in it.
std::string largest() {
  std::string out;
  for (unsigned i = 0;; ++i) {
    std::string section = fmt::format("seat-{}\n", i);
    for (unsigned vf = 0; vf < 8; ++vf)
      section += fmt::format("\tmap id=10de:2235,iommugroup={},node=pve{},path=0000:{:02x}:{:02x}.{},subsystem-id=10de:0000\n", i + vf,
                             i % 32, i % 256, i % 32, vf);
    section += "\tmdev 1\n\n";
    if (out.size() + section.size() > std::size_t{1} << 20U) return out;
    out += section;
  }
}

TEST(PciMappingCorpus, is_large_enough) { EXPECT_GE(corpus().size(), 60u); }

TEST(PciMappingCorpus, what_proxmox_writes_next_is_read_back_as_it_is) {
  for (const Sample& sample : corpus()) {
    SCOPED_TRACE(sample.name);
    const std::string printed = print_pci_mappings(parse_pci_mappings(sample.text).mappings);
    const PciMappings again = parse_pci_mappings(printed);
    EXPECT_EQ(again.warnings, std::vector<std::string>());
    EXPECT_TRUE(again.comments.empty() && again.poisoned.empty());
    EXPECT_EQ(print_pci_mappings(again.mappings), printed);
  }
}

TEST(PciMappingCorpus, files_of_proxmox_are_kept_byte_by_byte) {
  for (const std::size_t index : {0u, 1u, 2u, 3u}) {
    const PciMappings parsed = parse_pci_mappings(bases()[index].text);
    EXPECT_EQ(print_pci_mappings(parsed.mappings), bases()[index].text) << bases()[index].name;
    EXPECT_TRUE(parsed.warnings.empty()) << bases()[index].name;
  }
}

/// Each line is written again, or it is said which one, or what of it, is lost.
TEST(PciMappingCorpus, nothing_is_lost_in_silence) {
  for (const Sample& sample : corpus()) {
    SCOPED_TRACE(sample.name);
    const PciMappings parsed = parse_pci_mappings(sample.text);
    std::multiset<std::string> kept;
    const auto plain = [](const std::string& line) { return fmt::format("{}", fmt::join(words(line), " ")); };
    for (const std::string& line : lines(print_pci_mappings(parsed.mappings))) kept.insert(plain(line));
    const auto said = [&](const std::string& part) {
      return std::any_of(parsed.warnings.begin(), parsed.warnings.end(),
                         [&](const std::string& warning) { return contains(warning, part); });
    };
    int number = 0;
    std::string section;
    for (const std::string& line : lines(sample.text)) {
      ++number;
      const std::string content = trim(line);
      if (content.empty()) continue;
      if (line[0] != ' ' && line[0] != '\t' && content[0] != '#') section = content;
      std::string wanted = plain(line);
      if (wanted == "mdev" || wanted == "mdev 1") wanted = "mdev 1";
      if (const auto it = kept.find(wanted); it != kept.end()) {
        kept.erase(it);
        continue;
      }
      if (std::count(parsed.comments.begin(), parsed.comments.end(), number) || said(fmt::format("line {}:", number))) continue;
      const std::string key = content.substr(0, content.find_first_of(" \t"));
      EXPECT_TRUE(said(fmt::format("section '{}' is there twice", section)) || said(fmt::format("mapping '{}'", section)) ||
                  said("'" + key + "'"))
          << "line " << number << " is lost: " << line;
    }
  }
}

TEST(PciMappingCorpus, healing_touches_the_poisoned_sections_only) {
  for (const Sample& sample : corpus()) {
    SCOPED_TRACE(sample.name);
    std::string removed;
    const std::string healed = without_poison(sample.text, &removed);
    EXPECT_EQ(healed.size() + removed.size(), sample.text.size());
    EXPECT_TRUE(parse_pci_mappings(healed).poisoned.empty());
    const PciMappings before = parse_pci_mappings(sample.text);
    EXPECT_EQ(removed.empty(), before.poisoned.empty());
    EXPECT_EQ(parse_pci_mappings(healed).comments.size() + parse_pci_mappings(removed).comments.size(), before.comments.size());
    for (const ConfigSection& section : parse_section_config(sample.text).sections)
      if (!std::count(before.poisoned.begin(), before.poisoned.end(), section.id)) {
        EXPECT_NE(healed.find(sample.text.substr(section.begin, section.end - section.begin)), healed.npos) << section.id;
      }
  }
}

TEST(PciMappingCorpus, a_new_entry_keeps_those_of_others_verbatim) {
  for (const Sample& sample : corpus()) {
    SCOPED_TRACE(sample.name);
    const PciMappings parsed = parse_pci_mappings(sample.text);
    for (const PciMapping& mapping : parsed.mappings) {
      cluster::MappingWish wish{.id = mapping.id};
      wish.entries.push_back(parse_map_entry("id=10de:2531,node=new,path=0000:c1:00.0").or_fail("an entry"));
      const auto next = cluster::fulfilled(wish, &mapping);
      ASSERT_TRUE(next);
      ASSERT_EQ(next->entries.size(), mapping.entries.size() + 1);
      for (std::size_t i = 0; i < mapping.entries.size(); ++i) EXPECT_EQ(next->entries[i].text, mapping.entries[i].text);
      EXPECT_EQ(print_pci_mapping(*cluster::fulfilled(wish, &*next)), print_pci_mapping(*next)) << "done twice is done once";
      wish.present = false;
      EXPECT_EQ(print_pci_mapping(*cluster::fulfilled(wish, &*next)), print_pci_mapping(mapping)) << "and taken back";
    }
  }
}

TEST(PciMappingCorpus, the_largest_file_is_quick) {
  const std::string text = largest();
  ASSERT_GT(text.size(), (std::size_t{1} << 20U) - 1024);
  // Processor time, the best of three, which other programs on the machine hardly change. A section ends with an empty line.
  const auto took = [](const std::string& bytes) {
    std::clock_t best = std::numeric_limits<std::clock_t>::max();
    for (int i = 0; i < 3; ++i) {
      const std::clock_t began = std::clock();
      EXPECT_EQ(print_pci_mappings(parse_pci_mappings(bytes).mappings), bytes);
      best = std::min(best, std::clock() - began);
    }
    return static_cast<double>(best);
  };
  const double whole = took(text), quarter = took(text.substr(0, text.find("\n\n", text.size() / 4) + 2));
  EXPECT_LT(whole, 10 * quarter) << "four times the text is four times the work, not sixteen times";
}

TEST(Sha1, of_known_texts) {
  EXPECT_EQ(sha1_hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(sha1_hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(sha1_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(sha1_hex(std::string(1000000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

}  // namespace
}  // namespace pvegpu::text
