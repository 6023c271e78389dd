//! The definitions in memory: built once from the text that the build condensed, then only read.
//! Nothing here knows how a resource is checked.

mod load;
mod lookup;
mod node;
mod profile;
mod value_set;

use std::{collections::HashMap, sync::LazyLock};

pub use lookup::{
    code_systems, compartment, compartment_params, is_list, is_mandatory, is_summary, resource_type_index,
    resource_types, targets_of, types_of, value_set,
};
pub(crate) use node::{Child, Constraint, Kind, Member, Node, NodeId, Primitive, Rule};
pub(crate) use profile::{Profile, ProfileElement};
pub(crate) use value_set::ValueSet;

use crate::SearchParameter;

pub(crate) static TABLES: LazyLock<Tables> =
    LazyLock::new(|| load::load(include_str!(concat!(env!("OUT_DIR"), "/tables.txt"))));

/// A resource type and the search parameters that put a resource of it into a compartment.
type Membership = (&'static str, Vec<&'static str>);

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) nodes: Vec<Node>,
    /// `Quantity`, `Observation`, `Observation.component` to their nodes.
    pub(crate) by_path: HashMap<&'static str, NodeId>,
    /// Concrete resource types by name, in order; beside them their nodes.
    pub(crate) resource_names: Vec<&'static str>,
    pub(crate) resource_nodes: Vec<NodeId>,
    pub(crate) value_sets: Vec<ValueSet>,
    pub(crate) profiles: Vec<Profile>,
    pub(crate) search_parameters: Vec<SearchParameter>,
    /// By name; the types in order.
    pub(crate) compartments: Vec<(&'static str, Vec<Membership>)>,
}

impl Tables {
    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(usize::from(id))
    }

    pub(crate) fn node_of(&self, path: &str) -> Option<&Node> {
        self.by_path.get(path).and_then(|id| self.node(*id))
    }

    pub(crate) fn resource_index(&self, name: &str) -> Option<usize> {
        self.resource_names.binary_search(&name).ok()
    }

    pub(crate) fn resource(&self, name: &str) -> Option<(&'static str, &Node)> {
        let index = self.resource_index(name)?;
        let node = self.node(*self.resource_nodes.get(index)?)?;
        Some((self.resource_names.get(index)?, node))
    }
}
