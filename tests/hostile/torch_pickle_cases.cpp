/// Hostile PyTorch files: what reaches for code, and what the machine of the pickle refuses.

#include "hostile/cases.h"
#include "hostile/pickle.h"

using namespace std::string_literals;

namespace coppice::test {

using namespace pickle;

namespace {

/// What reaches for code, the refusal of it when strict, and how it is left out otherwise.
struct Code {
  std::string what, value, refusal, left_out;
};

std::vector<Code> code_values() {
  const auto called = [](const std::string& module, const std::string& name) {
    return global(module, name) + tuple({text("touch /tmp/owned")}) + "R";
  };
  const std::string evil = global("os", "system"), args = tuple({text("touch /tmp/owned")});
  const std::string words =
      "global 'os.system' is not among those a state dict needs, and no code of a file is run; save "
      "model.state_dict() (near 'w')";
  return {
      {"H40 os.system", called("os", "system"), words, "os.system"},
      {"H40 posix.system", called("posix", "system"), "'posix.system'", "posix.system"},
      {"H40 the state of a command", evil + args + "R" + args + "b", "'os.system'", "os.system"},
      {"H40 a command that is given items", evil + args + "R(" + text("a") + "K\1u(K\1eK\2a", "'os.system'",
       "os.system"},
      {"H40 a call of what a call gave", evil + args + "R" + args + "R", "'os.system'", "os.system"},
      {"H40 __reduce__ of an object", global("builtins", "getattr") + tuple({"}", text("__reduce__")}) + "R)R",
       "'builtins.getattr'", "builtins.getattr"},
      {"H41 eval", called("builtins", "eval"), "'builtins.eval'", "builtins.eval"},
      {"H41 getattr", called("__builtin__", "getattr"), "'__builtin__.getattr'", "__builtin__.getattr"},
      {"H41 importlib", called("importlib", "import_module"), "'importlib.import_module'", "importlib.import_module"},
      {"H41 a dotted name", called("torch", "serialization.os.system"), "'torch.serialization.os.system'",
       "torch.serialization.os.system"},
      {"H41 a function of torch", called("torch", "load"), "'torch.load'", "torch.load"},
      {"H41 a name that only looks right", called("collections ", "OrderedDict"), "'collections .OrderedDict'",
       "collections .OrderedDict"},
      {"H41 a function that is not called", global("builtins", "exec"), "'builtins.exec'", "builtins.exec"},
      {"H42 STACK_GLOBAL", text("os") + text("system") + "\x93" + args + "R", "'os.system'", "os.system"},
      {"H42 INST", "(" + text("touch /tmp/owned") + "ios\nsystem\n", "'os.system'", "os.system"},
      {"H42 OBJ", "(" + evil + text("touch /tmp/owned") + "o", "'os.system'", "os.system"},
      {"H42 NEWOBJ", evil + ")\x81", "'os.system'", "os.system"},
      {"H42 NEWOBJ_EX", evil + ")}" + text("a") + "K\1s\x92", "'os.system'", "os.system"},
      {"H42 EXT1", "\x82\x01", "extension 1 of pickle", "copyreg.extension"},
      {"H42 EXT4", "\x84\x01\x02\x03\x04)R", "extension 67305985 of pickle", "copyreg.extension"},
  };
}

/// A value beside a tensor.
std::string beside(const std::string& value) { return pt("}" + text("w") + value + "s" + text("t") + kGood + "s"); }

}  // namespace

std::vector<Hostile> torch_code() {
  std::vector<Hostile> out;
  for (const Code& code : code_values()) out.push_back({code.what, beside(code.value), "accepted", code.left_out});
  return out;
}

std::vector<Hostile> torch_code_when_strict() {
  std::vector<Hostile> out;
  for (const Code& code : code_values()) out.push_back({code.what, beside(code.value), "FormatError", code.refusal});
  return out;
}

std::vector<Hostile> torch_calls() {
  const auto called = [](const std::string& module, const std::string& name) {
    return pt(dict(global(module, name) + tuple({text("touch /tmp/owned")}) + "R"));
  };
  return {
      {"H40 a file of nothing but os.system", pt(global("os", "system") + ")R"), "FormatError",
       "the file must hold tensors; it holds os.system"},
      {"H42 text PERSID", pt("Pabc\n"), "FormatError", "opcode 0x50"},
      {"H42 NEWOBJ of a text", pt(text("x") + ")\x81"), "FormatError", "an object needs a class; got a text"},
      {"H42 NEWOBJ with a list", pt(global("os", "system") + "]\x81"), "FormatError",
       "NEWOBJ takes a tuple of arguments; got a list"},
      {"H42 OBJ of nothing", pt("(o"), "FormatError", "OBJ needs a class behind its MARK"},
      {"H42 STACK_GLOBAL of numbers", pt("K\1K\2\x93"), "FormatError",
       "module and name of a global must be texts; they are an integer and an integer"},
      {"H42 STACK_GLOBAL of a kilobyte", pt(text(std::string(1000, 'm')) + text("x") + "\x93"), "FormatError",
       "must have at most 256 bytes; one begins with 'mmm"},
      {"H42 a FRAME beyond the file", pt("\x95" + le(1u << 20, 8) + "N"), "FormatError",
       "a frame of 1048576 bytes must lie inside the pickle"},
      {"H42 NEXT_BUFFER", pt("\x97"), "FormatError", "opcode 0x97 takes a buffer from outside of the file"},
      {"H42 READONLY_BUFFER", pt("N\x98"), "FormatError", "opcode 0x98 takes a buffer"},
      {"H42 a name that is not UTF-8", pt(global("os\xFF", "system") + ")R"), "FormatError",
       "the name of a global must be UTF-8"},
      {"calling a storage class", pt(dict(global("torch", "FloatStorage") + ")R")), "FormatError",
       "'FloatStorage' cannot be called"},
      {"calling a dtype", pt(dict(global("torch", "float32") + ")R")), "FormatError", "'float32' cannot be called"},
      {"calling a text", pt(text("x") + ")R"), "FormatError", "REDUCE calls a known global; got a text"},
      {"calling with a list", pt(global("collections", "OrderedDict") + "]R"), "FormatError",
       "REDUCE takes a tuple of arguments; got a list"},
      {"a module of a kilobyte", called(std::string(1000, 'm'), "x"), "FormatError",
       "module of a global must have at most 256 bytes; it begins with 'mmm"},
      {"a global of a megabyte", called("torch", std::string(1u << 20, 'n')), "FormatError",
       "name of a global must have at most 256 bytes; it begins with 'nnn"},
      {"a global without newline", pt("cos"), "FormatError", "must end in a newline"},
  };
}

std::vector<Hostile> torch_machine() {
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += ']';
  deep += std::string(999'999, 'a');
  return {
      {"H43 SETITEM on a tensor", pt(kGood + "K\0K\0s"s), "FormatError",
       "items can be set in a dict only; there is a tensor"},
      {"H43 SETITEMS on a list", pt("](K\0K\0u"s), "FormatError", "there is a list"},
      {"H43 SETITEM on None", pt("NK\0K\0s"s), "FormatError", "there is None"},
      {"H43 SETITEMS with three values", pt("}(K\0K\0K\0u"s), "FormatError", "a dict takes pairs; got 3 values"},
      {"H43 a dict as a key", pt("}}Ns"), "FormatError", "a key must be a text or a number; it is a dict"},
      {"H44 APPEND on a dict", pt("}Na"), "FormatError", "only a list can be appended to; there is a dict"},
      {"H44 APPENDS on a tuple", pt(")(Ne"), "FormatError", "there is a tuple"},
      {"H45 BUILD with a list", pt("}]b"), "FormatError", "the state of an OrderedDict must be a dict; it is a list"},
      {"H45 BUILD on a tensor", pt(kGood + "}b"), "FormatError", "BUILD is for an OrderedDict; there is a tensor"},
      {"H46 underflow", pt("s"), "FormatError", "opcode 0x73 needs a value, and the stack is empty"},
      {"H46 underflow below a MARK", pt("}(s"), "FormatError", "the stack is empty"},
      {"H46 REDUCE on nothing", pt("R"), "FormatError", "opcode 0x52 needs a value"},
      {"H46 no MARK", pt("t"), "FormatError", "opcode 0x74 needs a MARK"},
      {"H46 memo of nothing", pt("q\0"s), "FormatError", "the stack is empty"},
      {"H46 unknown memo entry", pt("h\7"), "FormatError", "memo entry 7 was never stored"},
      {"H46 memo entry 2^32 - 1", pt("j\xFF\xFF\xFF\xFF"), "FormatError", "memo entry 4294967295 was never stored"},
      {"H47 a list in itself", pt("]q\0h\0a"s), "FormatError", "contains itself"},
      {"H47 a dict in itself", pt("}q\0"s + text("me") + "h\0s"s), "FormatError", "'me' contains itself"},
      {"H49 nesting of a million", pt(deep), "LimitError", "Limits::nesting"},
      {"4,100,000 MARKs", pt(std::string(4'100'000, '(')), "LimitError", "Limits::objects"},
      {"H50 LONG1 of 255 bytes as a size",
       pt(dict(tensor(num(0), tuple({"\x8A\xFF" + std::string(255, '\x7F')}), tuple({num(1)})))), "FormatError",
       "must be an integer of at most 64 bits; it is a float or longer"},
      {"H51 text of 4 GB", pt("X\xFF\xFF\xFF\xFFshort"), "FormatError", "text needs 4294967295 bytes"},
      {"H51 text that is not UTF-8", pt(text("\xED\xA0")), "FormatError", "texts must be UTF-8"},
      {"H51 half of a surrogate pair as a name", pt("}" + text("\xED\xA0\x80") + kGood + "s"), "accepted", ""},
      {"H52 protocol 6", raw_pt("\x80\6}."), "FormatError", "pickles of protocols 0..5 are read; got 6"},
      {"H52 no pickle", raw_pt("hello"), "FormatError", "memo entry 101 was never stored"},
      {"H52 no STOP", raw_pt("\x80\2}"), "FormatError", "opcode needs 1 bytes; 0 are left"},
      {"H52 bytes after STOP", raw_pt("\x80\2}.more"), "FormatError", "4 bytes follow the STOP"},
      {"H52 STOP with two values", pt("}}"), "FormatError", "STOP must find one value; there are 2"},
      {"H52 STOP with nothing", pt(""), "FormatError", "there are 0"},
      {"H52 empty pickle", raw_pt(""), "FormatError", "PROTO needs 1 bytes"},
      {"a number for a file", pt("K\1"), "FormatError", "the file must hold tensors; it holds an integer"},
      {"two tensors of one name", pt("}" + text("w") + kGood + "s" + text("w") + kGood + "s"), "FormatError",
       "two tensors have the path 'w'"},
      {"names that meet by their dots",
       pt("}" + text("a.b") + kGood + "s" + text("a") + "}" + text("b") + kGood + "ss"), "FormatError",
       "two tensors have the path 'a.b'"},
      {"NUL in a name", pt("}" + text("a\0b"s) + kGood + "s"), "accepted", ""},
      {"an object as a name", pt("}" + global("os", "system") + ")R" + kGood + "s"), "accepted",
       "(os.system): tensors below a key that is no text, number or tuple of them"},
      {"a tuple of tuples as a name", pt("}))\x86" + kGood + "s"), "accepted", "(a tuple): tensors below a key"},
      {"a text for a number", pt("I1x\n"), "FormatError", "an integer must have digits; got '1x'"},
      {"a sign for a number", pt("L-L\n"), "FormatError", "an integer must have digits; got '-'"},
      {"a text for a FLOAT", pt("Fx\n"), "FormatError", "a FLOAT must be a number; got 'x'"},
      {"a text for a memo entry", pt("gx\n"), "FormatError", "a memo entry must be a number; got 'x'"},
      {"a STRING without quotes", pt("Sx\n"), "FormatError", "a STRING must stand in quotes; got 'x'"},
      {"a STRING without end", pt("S'x"), "FormatError", "text must end in a newline"},
      {"a number of a kilobyte", pt("I" + std::string(1000, '1') + "\n"), "FormatError",
       "number must have at most 256 bytes"},
      {"bytes of 2^63", pt("\x8E" + le(std::uint64_t{1} << 63, 8)), "FormatError",
       "bytes needs 9223372036854775808 bytes"},
      {"a text of 2^64 - 1", pt("\x8D" + le(UINT64_MAX, 8)), "FormatError", "text needs 18446744073709551615 bytes"},
      {"LONG4 of 2^31", pt("\x8B" + le(1u << 31, 4)), "FormatError", "needs 2147483648 bytes"},
      {"POP of nothing", pt("0"), "FormatError", "opcode 0x30 needs a value"},
      {"ADDITEMS to a dict", pt("}(K\1\x90"), "FormatError", "only a list can be appended to; there is a dict"},
      {"a DICT of three", pt("(K\1K\2K\3d"), "FormatError", "a dict takes pairs; got 3 values"},
      {"a name of a megabyte", pt("}" + text(std::string(1u << 20, 'n')) + kGood + "s"), "LimitError",
       "bytes of a name must be at most 4096; got 1048577 (raise Limits::name_bytes)"},
      {"a name of 5,000 bytes", pt("}" + text(std::string(5000, 'n')) + kGood + "s"), "LimitError",
       "Limits::name_bytes"},
  };
}

}  // namespace coppice::test
