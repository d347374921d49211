//! A project: model build, model deploy and monitoring as one, as SageMaker Studio sets projects up.

use super::{Foundation, model_build};
use crate::{
    aws::NestedStack,
    core::{App, Expr, Parameter, object},
};

/// The stacks inside, and the parameters that each takes from the project's.
const PARTS: [(&str, &str, &[&str]); 3] = [
    (
        "ModelBuild",
        "model-build",
        &["Foundation", "SageMakerProjectName", "ImageTag", "ConnectionArn", "RepositoryId", "Branch"],
    ),
    (
        "ModelDeploy",
        "model-deploy",
        &[
            "Foundation",
            "SageMakerProjectName",
            "ImageTag",
            "ConnectionArn",
            "RepositoryId",
            "Branch",
            "StagingParameters",
            "ProductionParameters",
        ],
    ),
    ("Monitoring", "monitoring", &["Foundation", "SageMakerProjectName", "MonthlyBudget"]),
];

/// Adds the stack.
pub(super) fn stack(app: &mut App, _: &Foundation) {
    let stack = app.stack("project", "Kidu: a project with model build, model deploy and monitoring");
    stack.installation();
    model_build::project(&stack);
    let text = |help: &str, default: &str| Parameter::text(help).default(default).in_group("Project");
    stack.parameter(
        "SageMakerProjectId",
        text("Id of the project, which SageMaker Studio gives", "")
            .pattern("^$|^p-[a-z0-9]+$", "p- and letters and digits"),
    );
    stack.parameter("ImageTag", text("Tag of the job image to begin with", concat!("v", env!("CARGO_PKG_VERSION"))));
    stack.parameter("ConnectionArn", text("ARN of the connection to the git host; empty: CodeCommit", ""));
    stack.parameter("RepositoryId", text("owner/name, or the name of the CodeCommit repository", "kidu-ml/kidu"));
    stack.parameter("Branch", text("The branch whose commits build and deploy", "main"));
    for (name, help) in [
        ("StagingParameters", "Parameters of staging beside those that the pipeline sets, as a JSON object of texts"),
        ("ProductionParameters", "Parameters of production, likewise"),
    ] {
        stack.parameter(name, text(help, "{}"));
    }
    stack.parameter(
        "MonthlyBudget",
        Parameter::number("US dollars a month").default(100).between(1, 1_000_000).in_group("Cost"),
    );
    stack.parameter("TemplatesBucket", text("The bucket with the synthesised templates", ""));
    stack.parameter(
        "TemplatesPrefix",
        text("The folder of the templates in it, without a slash at its end", "templates"),
    );
    let tagged = stack.condition("InStudio", crate::core::Test::given(Expr::sub("${SageMakerProjectId}")));
    for (id, file, parameters) in PARTS {
        let handed = parameters.iter().map(|p| ((*p).to_string(), Expr::Ref((*p).into()))).collect();
        let url = format!(
            "https://${{TemplatesBucket}}.s3.${{AWS::Region}}.${{AWS::URLSuffix}}/${{TemplatesPrefix}}/{file}.template.json"
        );
        let tags = tagged.then([
            object! { "Key" => "sagemaker:project-id", "Value" => Expr::sub("${SageMakerProjectId}") },
            object! { "Key" => "sagemaker:project-name", "Value" => Expr::sub("${SageMakerProjectName}") },
        ]);
        let nested = NestedStack::new().template_url(Expr::sub(url)).parameters(Expr::Object(handed)).tags(tags);
        stack.add(id, nested);
    }
}
