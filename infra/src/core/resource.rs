//! What is known of a resource type: its properties, its attributes, and what changing it does.

use super::expr::Expr;

/// What changing a property does to the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// It is changed where it is.
    InPlace,
    /// A new resource takes its place, and what the old one held is gone with it.
    Replace,
}

/// A property of a resource type.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Its name in templates.
    pub name: &'static str,
    /// What changing it does.
    pub update: Update,
}

/// A resource type.
#[derive(Debug)]
pub struct ResourceType {
    /// Its name, as in `AWS::S3::Bucket`.
    pub name: &'static str,
    /// The properties we use.
    pub properties: &'static [Property],
    /// What `Fn::GetAtt` may ask for.
    pub attributes: &'static [&'static str],
    /// Whether it holds what cannot be made again: deleting it needs to be asked for.
    pub stateful: bool,
}

impl ResourceType {
    /// The property of that name.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|p| p.name == name)
    }
}

/// A resource with typed properties.
pub trait Resource {
    /// Its type.
    const TYPE: &'static ResourceType;

    /// The properties that were set, in the order they were.
    fn into_properties(self) -> Vec<(&'static str, Expr)>;
}

/// Defines resource types: a builder with one method for each property, the attributes as methods of its handle, and
/// the description that lint and diff use. `replace` marks properties whose change replaces the resource, `stateful` types
/// whose loss cannot be mended.
macro_rules! resources {
    ($($(#[$doc:meta])* $type:ident = $name:literal $($stateful:ident)? {
        $($method:ident : $property:literal $($replace:ident)?),* $(,)?
    } $([$($getter:ident : $attribute:literal),* $(,)?])?)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default)]
            #[must_use = "a resource is in the template only when a scope adds it"]
            pub struct $type(Vec<(&'static str, $crate::core::Expr)>);

            impl $type {
                /// Without properties.
                pub fn new() -> Self {
                    Self::default()
                }

                $(
                    #[doc = concat!("Sets `", $property, "`.")]
                    pub fn $method(mut self, value: impl Into<$crate::core::Expr>) -> Self {
                        self.0.retain(|(name, _)| *name != $property);
                        self.0.push(($property, value.into()));
                        self
                    }
                )*
            }

            impl $crate::core::Resource for $type {
                const TYPE: &'static $crate::core::ResourceType = &$crate::core::ResourceType {
                    name: $name,
                    properties: &[$($crate::core::Property {
                        name: $property,
                        update: $crate::core::resources!(@update $($replace)?),
                    }),*],
                    attributes: &[$($($attribute),*)?],
                    stateful: $crate::core::resources!(@stateful $($stateful)?),
                };

                fn into_properties(self) -> Vec<(&'static str, $crate::core::Expr)> {
                    self.0
                }
            }

            $(
                impl $crate::core::Handle<$type> {
                    $(
                        #[doc = concat!("Its `", $attribute, "`.")]
                        pub fn $getter(&self) -> $crate::core::Expr {
                            self.attribute($attribute)
                        }
                    )*
                }
            )?
        )*

        /// The resource types of this file.
        pub(super) const TYPES: &[&$crate::core::ResourceType] = &[$(<$type as $crate::core::Resource>::TYPE),*];
    };
    (@update replace) => { $crate::core::Update::Replace };
    (@update) => { $crate::core::Update::InPlace };
    (@stateful stateful) => { true };
    (@stateful) => { false };
}
pub(crate) use resources;
