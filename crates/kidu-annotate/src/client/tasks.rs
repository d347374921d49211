//! Tasks, annotations and predictions.

use http::Method;
use kidu_fetch::ApiCall;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{LabelStudioClient, PAGE, multipart};
use crate::error::Result;

/// A task as the list of tasks tells of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Task {
    /// The number.
    pub id: u64,
    /// What it is about; addresses as the API shows them, those of storages as `/tasks/3/resolve/?fileuri=..`.
    #[serde(default)]
    pub data: Value,
    /// Whether it has as many annotations as are wanted.
    #[serde(default)]
    pub is_labeled: bool,
    /// Annotations, skipped ones not counted.
    #[serde(default)]
    pub total_annotations: u64,
    /// The annotations.
    #[serde(default)]
    pub annotations: Vec<Value>,
    /// The predictions.
    #[serde(default)]
    pub predictions: Vec<Value>,
}

/// A file to upload.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What became of an import.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Imported {
    /// Tasks made.
    #[serde(default)]
    pub task_count: u64,
    /// Predictions made.
    #[serde(default)]
    pub prediction_count: u64,
    /// Their numbers.
    #[serde(default)]
    pub task_ids: Vec<u64>,
}

impl LabelStudioClient {
    /// Imports tasks: `{"data": {"image": ADDRESS}}`, perhaps with `predictions`. An address is a URL, an `s3://` name
    /// of a source storage or a data URI.
    ///
    /// # Errors
    /// [`crate::AnnotateError::Refused`] for tasks that do not fit the form.
    pub fn import_tasks(&self, project: u64, tasks: &[Value]) -> Result<Imported> {
        self.send(Method::POST, &format!("/api/projects/{project}/import?return_task_ids=true"), &json!(tasks))
    }

    /// Uploads images; each becomes a task.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn upload(&self, project: u64, files: &[Upload]) -> Result<Imported> {
        let path = format!("/api/projects/{project}/import?return_task_ids=true");
        self.read(&ApiCall { method: Method::POST, path, body: Some(multipart::body(files)) })
    }

    /// All tasks of a project with their annotations and predictions, a page at a time; `each` gets every page and how
    /// many tasks there are in all.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn tasks(&self, project: u64, mut each: impl FnMut(&[Task], usize)) -> Result<Vec<Task>> {
        self.tasks_by(&format!("project={project}"), &mut each)
    }

    /// The tasks of a tab of the data manager, in its order.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn tasks_of_view(&self, view: u64) -> Result<Vec<Task>> {
        self.tasks_by(&format!("view={view}"), &mut |_, _| ())
    }

    fn tasks_by(&self, of: &str, each: &mut dyn FnMut(&[Task], usize)) -> Result<Vec<Task>> {
        #[derive(Deserialize)]
        struct Page {
            tasks: Vec<Task>,
            total: usize,
        }
        let mut all: Vec<Task> = Vec::new();
        for page in 1.. {
            let path = format!("/api/tasks/?{of}&page={page}&page_size={PAGE}&fields=all");
            let answer: Page = self.get(&path)?;
            let got = answer.tasks.len();
            each(&answer.tasks, answer.total);
            all.extend(answer.tasks);
            if got == 0 || all.len() >= answer.total {
                break;
            }
        }
        Ok(all)
    }

    /// The whole project as Label Studio exports it in JSON: tasks with annotations, addresses as they were imported.
    /// `all` also exports tasks that nobody has annotated.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn export(&self, project: u64, all: bool) -> Result<Vec<Value>> {
        self.get(&format!("/api/projects/{project}/export?exportType=JSON&download_all_tasks={all}"))
    }

    /// The project in another of Label Studio's formats (`JSON_MIN`, `CSV`, `TSV`), as bytes.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn export_as(&self, project: u64, format: &str) -> Result<Vec<u8>> {
        self.call(&ApiCall::get(format!("/api/projects/{project}/export?exportType={format}")))
    }

    /// Has the backend predict tasks that have no prediction of its version yet; all tasks, or these.
    ///
    /// # Errors
    /// [`crate::AnnotateError`]. Label Studio answers 200 also where the backend failed.
    pub fn retrieve_predictions(&self, project: u64, tasks: Option<&[u64]>) -> Result<Value> {
        self.action(project, "retrieve_tasks_predictions", tasks)
    }

    /// An action of the data manager over all tasks of a project, or these.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn action(&self, project: u64, action: &str, tasks: Option<&[u64]>) -> Result<Value> {
        let selected = match tasks {
            Some(included) => json!({"all": false, "included": included}),
            None => json!({"all": true, "excluded": []}),
        };
        let path = format!("/api/dm/actions?id={action}&project={project}");
        self.send(Method::POST, &path, &json!({"selectedItems": selected, "project": project}))
    }

    /// Adds predictions to tasks: `{"task", "result", "score", "model_version"}`. No webhook event follows.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn import_predictions(&self, project: u64, predictions: &[Value]) -> Result<Value> {
        self.send(Method::POST, &format!("/api/projects/{project}/import/predictions"), &json!(predictions))
    }

    /// Gives a task other data.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn set_task_data(&self, task: u64, data: &Value) -> Result<()> {
        let call = ApiCall::json(Method::PATCH, format!("/api/tasks/{task}/"), &json!({"data": data}));
        self.call(&call).map(drop)
    }

    /// Annotates a task.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn annotate(&self, task: u64, annotation: &Value) -> Result<Value> {
        self.send(Method::POST, &format!("/api/tasks/{task}/annotations/"), annotation)
    }

    /// The tabs of the data manager.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn views(&self, project: u64) -> Result<Vec<Value>> {
        self.get(&format!("/api/dm/views?project={project}"))
    }

    /// Makes a tab of the data manager, or changes one.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn put_view(&self, project: u64, id: Option<u64>, data: &Value) -> Result<Value> {
        let body = json!({"project": project, "data": data});
        match id {
            Some(id) => self.send(Method::PATCH, &format!("/api/dm/views/{id}?project={project}"), &body),
            None => self.send(Method::POST, &format!("/api/dm/views?project={project}"), &body),
        }
    }
}
