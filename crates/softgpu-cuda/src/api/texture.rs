//! Textures and surfaces.

use crate::abi::{CUresult, Code, Done, In, Out};
use crate::call::call;
use crate::handle::TextureHandle;
use crate::memory::textures::{ResourceDescription, Texture, TextureDescription, ViewDescription};
use crate::process::Process;
use crate::state::State;

fn create(
    process: &Process,
    resource: In<ResourceDescription>,
    sampling: Option<TextureDescription>,
    view: Option<ViewDescription>,
) -> Done<TextureHandle> {
    let resource = resource.get()?;
    let mut state = process.state();
    let context = state.current()?;
    resource.check(&state)?;
    sampling.iter().try_for_each(|one| one.check(&resource))?;
    view.iter().try_for_each(|one| one.check(&resource))?;
    if sampling.is_none() && resource.kind != ResourceDescription::ARRAY {
        return Err(Code::INVALID_VALUE);
    }
    Ok(state.textures.insert(Texture { context, resource, sampling, view }))
}

/// A texture or, without sampling, a surface.
fn find(state: &State, handle: TextureHandle, sampled: bool) -> Done<&Texture> {
    state.current()?;
    let found = state.textures.find(handle).filter(|one| one.sampling.is_some() == sampled);
    found.ok_or(Code::INVALID_VALUE)
}

fn destroy(process: &Process, handle: TextureHandle, sampled: bool) -> Done {
    let mut state = process.state();
    find(&state, handle, sampled)?;
    state.textures.remove(handle).map(drop)
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuTexObjectCreate(
    texture: Out<TextureHandle>,
    resource: In<ResourceDescription>,
    sampling: In<TextureDescription>,
    view: In<ViewDescription>,
) -> CUresult {
    call(|process| {
        let texture = texture.required()?;
        let made = create(process, resource, Some(sampling.get()?), view.optional())?;
        texture.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuTexObjectDestroy(texture: TextureHandle) -> CUresult {
    call(|process| destroy(process, texture, true))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuTexObjectGetResourceDesc(
    out: Out<ResourceDescription>,
    texture: TextureHandle,
) -> CUresult {
    call(|process| out.set(find(&process.state(), texture, true)?.resource))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuTexObjectGetTextureDesc(
    out: Out<TextureDescription>,
    texture: TextureHandle,
) -> CUresult {
    call(|process| out.set(find(&process.state(), texture, true)?.sampling.ok_or(Code::INVALID_VALUE)?))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuTexObjectGetResourceViewDesc(
    out: Out<ViewDescription>,
    texture: TextureHandle,
) -> CUresult {
    call(|process| out.set(find(&process.state(), texture, true)?.view.ok_or(Code::INVALID_VALUE)?))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuSurfObjectCreate(
    surface: Out<TextureHandle>,
    resource: In<ResourceDescription>,
) -> CUresult {
    call(|process| {
        let surface = surface.required()?;
        let made = create(process, resource, None, None)?;
        surface.set(made)
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuSurfObjectDestroy(surface: TextureHandle) -> CUresult {
    call(|process| destroy(process, surface, false))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuSurfObjectGetResourceDesc(
    out: Out<ResourceDescription>,
    surface: TextureHandle,
) -> CUresult {
    call(|process| out.set(find(&process.state(), surface, false)?.resource))
}
