/// Hostile archives, read as .npz.

#include "hostile/cases.h"

using namespace std::string_literals;

namespace coppice::test {
namespace {

std::string patched(std::string bytes, std::size_t at, const std::string& with) {
  return bytes.replace(at, with.size(), with);
}

const std::string kA = zeros(3);

/// The record that ends a plain archive of the given directory.
std::string end_record(std::uint64_t count, std::uint64_t bytes, std::uint64_t offset,
                       const std::string& comment = "") {
  return "PK\5\6" + le(0, 4) + le(count, 2) + le(count, 2) + le(bytes, 4) + le(offset, 4) + le(comment.size(), 2) +
         comment;
}

std::string zip64_ending(std::uint64_t count, std::uint64_t bytes, std::uint64_t offset, std::uint64_t record_at) {
  return "PK\6\6" + le(44, 8) + le(45, 2) + le(45, 2) + le(0, 4) + le(0, 4) + le(count, 8) + le(count, 8) +
         le(bytes, 8) + le(offset, 8) + "PK\6\7" + le(0, 4) + le(record_at, 8) + le(1, 4) +
         end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF);
}

std::string inner_header(const std::string& name, const std::string& data) {
  return make_zip({{name, data}}).substr(0, 30 + name.size() + data.size());
}

/// Members without data, each with an extra field of 64 KB in which hundreds of the following members stand.
std::string nested_extras(std::uint64_t count) {
  std::string body, list;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string name = std::to_string(100'000 + i);
    const std::string common = le(0, 4) + le(0x00210000, 4) + std::string(12, '\0') + le(name.size(), 2);
    list += "PK\1\2" + le(20, 2) + le(20, 2) + common + std::string(12, '\0') + le(body.size(), 4) + name;
    body += "PK\3\4" + le(20, 2) + common + le(65'532, 2) + name;
    for (int field = 0; field < 13; ++field) body += le(2, 4);
    body += le(2, 2) + le(36, 2);  // its body is the header of the next member
  }
  for (int field = 0; field < 17'000; ++field) body += le(2, 4);
  return body + list + end_record(count, list.size(), body.size());
}

}  // namespace

std::vector<Hostile> zip_cases() {
  const std::string plain = make_zip({{"a.npy", kA}});
  const std::size_t directory = plain.find("PK\1\2"), end = plain.find("PK\5\6");
  const std::string b = inner_header("b.npy", kA);
  return {
      {"H63 no directory", plain.substr(0, directory), "FormatError", "no end record"},
      {"H63 no end record", plain.substr(0, end), "FormatError", "no end record"},
      {"H63 two end records", plain.substr(0, end) + end_record(1, end - directory, directory, end_record(0, 0, 0)),
       "FormatError", "two end records"},
      {"H63 data before the archive", "#!/bin/sh\n" + plain, "FormatError", "must end where the end record begins"},
      {"H63 data before the archive, offsets mended",
       [&] {
         std::string z = make_zip({{"a.npy", kA, 0, 0, UINT64_MAX, "", 0, 10}});
         z = "0123456789" + z;
         return patched(z, z.find("PK\5\6") + 16, le(directory + 10, 4));
       }(),
       "FormatError", "the first member must begin at byte 0; it begins at 10"},
      {"H63 data behind the archive", plain + "more", "FormatError", "no end record"},
      {"H63 bytes in the directory",
       [&] { return plain.substr(0, end) + "junk" + end_record(1, end - directory + 4, directory); }(), "FormatError",
       "4 bytes follow the last directory entry"},
      {"H63 fewer members than said", make_zip({{"a.npy", kA}}, 2), "FormatError", "cannot hold 2 members"},
      {"H63 more members than said", make_zip({{"a.npy", kA}, {"b.npy", kA}}, 1), "FormatError",
       "follow the last directory entry"},
      {"H64 another name", make_zip({{"a.npy", kA, 0, 0, UINT64_MAX, "b.npy"}}), "FormatError",
       "disagree about the name"},
      {"H64 another method", patched(plain, 8, le(8, 2)), "FormatError", "disagree about the method"},
      {"H64 another size", patched(plain, 22, le(1, 4)), "FormatError", "disagree about the size"},
      {"H64 another stored size", patched(plain, 18, le(1, 4)), "FormatError", "disagree about the stored size"},
      {"H64 another checksum", patched(plain, 14, le(1, 4)), "FormatError", "disagree about the checksum"},
      {"H64 other flags", patched(plain, 6, le(8, 2)), "FormatError", "disagree about the flags"},
      {"H64 offset to nowhere", make_zip({{"a.npy", kA, 0, 0, UINT64_MAX, "", 0, 7}}), "FormatError",
       "no local header of 'a.npy'"},
      {"H64 offset behind the directory", make_zip({{"a.npy", kA, 0, 0, UINT64_MAX, "", 0, 1u << 30}}), "FormatError",
       "begins behind the directory"},
      {"H64 stored with two sizes", make_zip({{"a.npy", kA, 0, 0, 5}}), "FormatError", "has sizes"},
      {"a member that is no array", make_zip({{"a.npy", kA}, {"b.npy", "\x93NUMPX\1\0"s}}), "FormatError",
       "', in the member 'b.npy'"},
      {"an inflated member that is no array", make_zip({{"a.npy", kA}, packed("b.npy", "\x93NUMPX\1\0"s)}),
       "FormatError", "', in the inflated member 'b.npy', byte 0"},
      {"H65 one member inside another",
       make_zip({{"a.npy", kA + b}, {"b.npy", kA, 0, 0, UINT64_MAX, "", 0, 35 + kA.size()}}), "FormatError",
       "'b.npy' overlaps"},
      {"H65 30,000 members, each in the extra fields of hundreds", nested_extras(30'000), "FormatError",
       "'100001' overlaps"},
      {"H65 two entries for one member", make_zip({{"a.npy", kA}, {"b.npy", kA, 0, 0, UINT64_MAX, "a.npy", 0, 0}}),
       "FormatError", "'b.npy' overlaps"},
      {"H66 bomb, 1000:1", make_zip({{"a.npy", deflated(zeros(40u << 20)), 8, 0, (40u << 20) + 74}}), "LimitError",
       "Limits::inflate_ratio"},
      {"H66 impossible ratio", make_zip({{"a.npy", deflated(kA), 8, 0, 3u << 30}}), "FormatError",
       "claims 3221225472 bytes"},
      {"H66 inflates to more than it says", make_zip({{"a.npy", deflated(zeros(5000)), 8, 0, 100}}), "FormatError",
       "must inflate to exactly 100 bytes"},
      {"H66 inflates to less than it says", make_zip({{"a.npy", deflated(kA), 8, 0, kA.size() + 1}}), "FormatError",
       "must inflate to exactly"},
      {"H66 does not inflate", make_zip({{"a.npy", std::string(50, '\xFF'), 8, 0, 100}}), "FormatError",
       "must inflate to exactly"},
      {"H66 bytes behind the deflated ones", make_zip({{"a.npy", deflated(kA) + "x", 8, 0, kA.size()}}), "FormatError",
       "must inflate to exactly"},
      {"H67 zip64 sizes of 2^64 - 1",
       [] {
         const std::string extra = le(1, 2) + le(16, 2) + le(UINT64_MAX, 8) + le(UINT64_MAX, 8);
         const std::string sizes = le(0, 4) + le(0xFFFFFFFF, 4) + le(0xFFFFFFFF, 4);
         const std::string local =
             "PK\3\4" + le(45, 2) + le(0, 4) + le(0, 4) + sizes + le(5, 2) + le(20, 2) + "a.npy" + extra;
         const std::string entry = "PK\1\2" + le(45, 2) + le(45, 2) + le(0, 4) + le(0, 4) + sizes + le(5, 2) +
                                   le(20, 2) + le(0, 8) + le(0, 6) + "a.npy" + extra;
         return local + "abc" + entry + end_record(1, entry.size(), local.size() + 3);
       }(),
       "FormatError", "must end before the directory; 3 bytes are left"},
      {"H67 zip64 size missing",
       patched(patched(plain, directory + 20, le(0xFFFFFFFF, 4)), directory + 24, le(0xFFFFFFFF, 4)), "FormatError",
       "zip64 size needs 8 bytes; 0 are left"},
      {"H67 zip64 directory at 2^64 - 1", "PK\3\4"s + zip64_ending(1, 2, UINT64_MAX, 4), "FormatError",
       "must end where the zip64 end record begins"},
      {"H67 zip64 end record at 2^64 - 1", "PK\3\4"s + zip64_ending(1, 2, 2, UINT64_MAX), "FormatError",
       "cannot be at byte 18446744073709551615"},
      {"H68 encrypted", make_zip({{"a.npy", kA, 0, 1}}), "FormatError", "is encrypted"},
      {"H68 unknown method", make_zip({{"a.npy", kA, 99}}), "FormatError", "uses method 99"},
      {"H68 several disks", patched(plain, end + 4, le(1, 2)), "FormatError", "several disks"},
      {"H69 checksum", make_zip({{"a.npy", kA, 0, 0, UINT64_MAX, "", 1}}), "FormatError",
       "member 'a.npy' is damaged: checksum"},
      {"H70 a name twice", make_zip({{"a.npy", kA}, {"a.npy", kA}}), "FormatError", "'a.npy' stands twice"},
      {"H70 ..", make_zip({{"../a.npy", kA}}), "FormatError", "must have a relative UTF-8 name"},
      {"H70 .. inside", make_zip({{"m/../../a.npy", kA}}), "FormatError", "must have a relative UTF-8 name"},
      {"H70 absolute", make_zip({{"/etc/a.npy", kA}}), "FormatError", "must have a relative UTF-8 name"},
      {"H70 backslash", make_zip({{"..\\a.npy", kA}}), "FormatError", "must have a relative UTF-8 name"},
      {"H70 NUL", make_zip({{"a\0.npy"s, kA}}), "FormatError", "must have a relative UTF-8 name"},
      {"H70 empty name", make_zip({{"", kA}}), "FormatError", "must have a relative UTF-8 name"},
      {"H70 not UTF-8", make_zip({{"\xFF.npy", kA}}), "FormatError", "must have a relative UTF-8 name"},
      {"H70 64 KB", make_zip({{std::string(65535, 'n'), kA}}), "LimitError", "Limits::name_bytes"},
      {"H71 two million members", "PK\3\4"s + zip64_ending(2'000'000, 0, 4, 4), "LimitError", "Limits::tensors"},
      {"H71 a directory of 17 MB",
       "PK\3\4" + std::string(17u << 20, 'd') + zip64_ending(1, 17u << 20, 4, 4 + (17u << 20)), "LimitError",
       "Limits::header_bytes"},
      {"H71 a million members in nothing", "PK\3\4"s + zip64_ending(1'000'000, 0, 4, 4), "FormatError",
       "cannot hold 1000000 members"},
  };
}

}  // namespace coppice::test
