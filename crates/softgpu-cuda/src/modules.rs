//! Modules, libraries and the functions in them.
//!
//! An image is a text that names kernels: lines of PTX with `.entry NAME(`, alone or in a fat binary. Kernels
//! that are built in run; others load and cannot be launched, which is counted. Compiled images are refused as
//! by a device for which they were not compiled.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

use crate::abi::{Code, Done, In};
use crate::engine::EnginePart;
use crate::fatbin;
use crate::handle::{ContextHandle, FunctionHandle, LibraryHandle, ModuleHandle, Slab, names};
use crate::kernels::Builtin;

/// Code up to this size is part of what a context costs; beyond, it is charged.
pub(crate) const CODE_FREE_BYTES: u64 = 1 << 20;

/// A module: loaded in one context.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) context: ContextHandle,
    pub(crate) functions: Vec<FunctionHandle>,
    /// Size of its image, in bytes.
    pub(crate) bytes: u64,
}

/// A library: loaded in whatever context uses it.
#[derive(Debug)]
pub(crate) struct Library {
    pub(crate) kernels: Vec<FunctionHandle>,
    pub(crate) modules: HashMap<ContextHandle, ModuleHandle>,
    /// What reading it ended with: a library is only looked into when it is used.
    pub(crate) image: Done<Image>,
}

/// A function of a module, or a kernel of a library.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: std::ffi::CString,
    pub(crate) builtin: Option<&'static Builtin>,
    /// `None` for a kernel of a library, which belongs to no context.
    pub(crate) module: Option<ModuleHandle>,
    pub(crate) library: Option<LibraryHandle>,
    /// Attributes that the program set.
    pub(crate) attributes: HashMap<u32, i32>,
}

/// What an image says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) kernels: Vec<String>,
    pub(crate) bytes: u64,
}

impl Image {
    /// Reads the image at an address.
    pub(crate) fn at(image: In<u8>) -> Done<Self> {
        // An image is at least four bytes long, by its contract.
        let start = image.cast::<[u8; 4]>().get()?;
        match start {
            [0x7f, b'E', b'L', b'F'] => Err(Code::NO_BINARY_FOR_GPU),
            mark if fatbin::is_mark(mark) => Self::of(fatbin::text(image)?),
            [first, ..] if !first.is_ascii() || first == 0 => Err(Code::INVALID_IMAGE),
            _ => Self::of(image.text().get().map_err(|_| Code::INVALID_IMAGE)?),
        }
    }

    /// Reads the image that a file holds, with a zero behind it.
    pub(crate) fn of_file(bytes: &[u8]) -> Done<Self> {
        Self::at(In::told(bytes.as_ptr() as usize))
    }

    /// Reads a text.
    pub(crate) fn of(text: &str) -> Done<Self> {
        let code = without_comments(text);
        if !code.trim_start().starts_with(".version") {
            return Err(Code::INVALID_IMAGE);
        }
        let balanced = code.matches('{').count() == code.matches('}').count();
        if !balanced
            || !only_directives(&code)
            || !code.contains(".target")
            || !code.contains(".address_size")
        {
            return Err(Code::INVALID_PTX);
        }
        let names = code.split(".entry").skip(1).map(|rest| {
            let rest = rest.trim_start();
            let end =
                rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$'))).unwrap_or(rest.len());
            rest[..end].to_owned()
        });
        Ok(Self { kernels: names.filter(|name| !name.is_empty()).collect(), bytes: text.len() as u64 })
    }
}

/// Outside of bodies and parameter lists every line begins with a directive.
fn only_directives(code: &str) -> bool {
    let mut depth = 0i32;
    let mut outside = String::new();
    for letter in code.chars() {
        match letter {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            _ if depth == 0 => outside.push(letter),
            _ => {}
        }
    }
    outside.lines().map(str::trim).all(|line| line.is_empty() || line == ";" || line.starts_with('.'))
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or(""));
    let mut code = lines.collect::<Vec<_>>().join("\n");
    while let Some(start) = code.find("/*") {
        let end = code[start..].find("*/").map_or(code.len(), |end| start + end + 2);
        code.replace_range(start..end, " ");
    }
    code
}

/// What the floor of code keeps of this process, above its engines.
#[derive(Debug)]
pub(crate) struct CodePart {
    below: EnginePart,
    pub(crate) modules: Slab<names::Module, Module>,
    pub(crate) libraries: Slab<names::Library, Library>,
    pub(crate) functions: Slab<names::Function, Function>,
}

impl Deref for CodePart {
    type Target = EnginePart;

    fn deref(&self) -> &EnginePart {
        &self.below
    }
}

impl DerefMut for CodePart {
    fn deref_mut(&mut self) -> &mut EnginePart {
        &mut self.below
    }
}

impl CodePart {
    pub(crate) fn new(devices: usize) -> Self {
        Self {
            below: EnginePart::new(devices),
            modules: Slab::new(0x54),
            libraries: Slab::new(0x55),
            functions: Slab::new(0x56),
        }
    }

    /// Puts the functions of an image down.
    pub(crate) fn insert_functions(
        &mut self,
        image: &Image,
        module: Option<ModuleHandle>,
        library: Option<LibraryHandle>,
    ) -> Vec<FunctionHandle> {
        let functions = image.kernels.iter().map(|name| Function {
            name: std::ffi::CString::new(name.as_str()).unwrap_or_default(),
            builtin: Builtin::find(name),
            module,
            library,
            attributes: HashMap::new(),
        });
        functions.collect::<Vec<_>>().into_iter().map(|function| self.functions.insert(function)).collect()
    }

    /// The function with a name.
    pub(crate) fn function_named(&self, among: &[FunctionHandle], name: &str) -> Done<FunctionHandle> {
        let named = |handle: &&FunctionHandle| {
            self.functions.find(**handle).is_some_and(|function| function.name.to_bytes() == name.as_bytes())
        };
        among.iter().find(named).copied().ok_or(Code::NOT_FOUND)
    }

    /// Loads an image into a context.
    pub(crate) fn load_module(
        &mut self,
        context: ContextHandle,
        image: &Image,
        library: Option<LibraryHandle>,
    ) -> ModuleHandle {
        let module = Module { context, functions: Vec::new(), bytes: image.bytes };
        let handle = self.modules.insert(module);
        let functions = self.insert_functions(image, Some(handle), library);
        if let Ok(module) = self.modules.get_mut(handle) {
            module.functions = functions;
        }
        handle
    }

    /// Unloads a module and its functions.
    pub(crate) fn unload_module(&mut self, handle: ModuleHandle) -> Done<u64> {
        let module = self.modules.remove(handle)?;
        for function in module.functions {
            let _ = self.functions.remove(function);
        }
        Ok(module.bytes)
    }

    /// A library's module in a context; loads it there if it is not.
    pub(crate) fn library_in(
        &mut self,
        library: LibraryHandle,
        context: ContextHandle,
    ) -> Done<ModuleHandle> {
        let known = self.libraries.get(library)?;
        if let Some(module) = known.modules.get(&context) {
            return Ok(*module);
        }
        let image = known.image.clone()?;
        let module = self.load_module(context, &image, Some(library));
        self.libraries.get_mut(library)?.modules.insert(context, module);
        Ok(module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTX: &str = "// made by hand\n.version 8.0\n.target sm_70\n.address_size 64\n.visible .entry busy(.param .u64 us)\n{\n ret;\n}\n.entry other_1() { ret; }";

    #[test]
    fn an_image_names_its_kernels() {
        let image = Image::of(PTX).unwrap();
        assert_eq!(image.kernels, ["busy", "other_1"]);
    }

    #[test]
    fn what_is_no_image_gets_the_drivers_code() {
        assert_eq!(Image::of("hello"), Err(Code::INVALID_IMAGE));
        assert_eq!(Image::of(&PTX.replace("}", "")), Err(Code::INVALID_PTX));
        assert_eq!(Image::of(".version 8.0\n"), Err(Code::INVALID_PTX));
        assert_eq!(Image::of_file(b"\x7fELF\0"), Err(Code::NO_BINARY_FOR_GPU));
        assert_eq!(Image::at(In::NULL), Err(Code::INVALID_VALUE));
    }
}
