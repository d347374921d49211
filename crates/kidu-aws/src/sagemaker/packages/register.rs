//! A bundle as a new version: uploaded, described, registered.

use aws_sdk_sagemaker::types::{
    InferenceSpecification, MetricsSource, ModelMetrics, ModelPackageContainerDefinition, ModelQuality,
    ProductionVariantInstanceType, SkipModelValidation,
};
use kidu_core::{
    Bundle, ContentHasher, Sha256Hex,
    store::{ObjectStore, ObjectUri, PutOptions},
};
use kidu_pipeline::{
    ModelRecord,
    ledger::entry_text,
    model_registry::{EVALUATION_HASH, MODEL, MODEL_HASH, TEST_SET, facts_of},
    registry::{Receipt, Registration, check_judged, model_hash},
};

use super::{ModelPackages, Publication, approval, record};
use crate::{
    S3Store,
    sagemaker::{Result, SageMakerError, error::Call},
};

/// What a model is known by.
struct Known {
    model: String,
    model_hash: Sha256Hex,
    evaluation_hash: Sha256Hex,
    test_set: Option<String>,
}

impl Known {
    fn of(what: &Registration<'_>) -> Result<Self> {
        let bundle = Bundle::open(what.bundle)?;
        check_judged(&bundle, what.evaluation)?;
        Ok(Self {
            model: bundle.manifest().model.clone(),
            model_hash: model_hash(bundle.manifest()),
            evaluation_hash: Sha256Hex::of_file(what.evaluation)?,
            test_set: what.lineage.test_version.clone(),
        })
    }

    /// The same model on the same test set. Without a known test set, only the very same evaluation is the same.
    fn is(&self, record: &ModelRecord) -> bool {
        let fact = |name: &str| record.facts.get(name).map(String::as_str);
        let same_test = match (&self.test_set, fact(TEST_SET)) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => fact(EVALUATION_HASH) == Some(self.evaluation_hash.as_str()),
        };
        fact(MODEL_HASH) == Some(self.model_hash.as_str()) && same_test
    }
}

/// What was uploaded.
struct Uploaded {
    model: String,
    evaluation: String,
}

impl ModelPackages {
    /// Uploads a bundle and registers it.
    pub(super) fn publish(&self, what: &Registration<'_>) -> Result<Receipt> {
        let actor = entry_text("actor", what.actor)?;
        let Some(publication) = &self.publication else {
            return Err(SageMakerError::Setup {
                action: "register",
                what: format!("a version of model group {}", self.group),
                reason: "no place in S3 was named for its bundle, and no image that serves it".into(),
            });
        };
        let known = Known::of(what)?;
        if let Some(existing) = self.all()?.iter().rfind(|r| known.is(r)) {
            return Ok(self.receipt(existing.version, existing.status, known.model_hash, false));
        }
        let uploaded = self.upload(publication, what, &known)?;
        self.ensure_group()?;
        let call =
            Call::new("register", format!("a version of model group {}", self.group), "sagemaker:CreateModelPackage");
        let mut facts = facts_of(&what.lineage);
        facts.insert(MODEL.into(), known.model.clone());
        facts.insert(MODEL_HASH.into(), known.model_hash.to_string());
        facts.insert(EVALUATION_HASH.into(), known.evaluation_hash.to_string());
        facts.insert("registered-by".into(), actor);
        let token = ContentHasher::new("kidu registration 1")
            .field("group", &self.group)
            .field("model", known.model_hash.as_str())
            .field("evaluation", known.evaluation_hash.as_str())
            .finish();
        let request = self
            .sagemaker
            .client
            .create_model_package()
            .model_package_group_name(&self.group)
            .model_package_description(format!("{} on dataset {}", known.model, what.lineage.dataset_version))
            .inference_specification(inference(publication, &uploaded))
            .model_metrics(quality(&uploaded))
            .model_approval_status(approval(what.status))
            .set_customer_metadata_properties(Some(record::metadata(&facts, &what.lineage.metrics)))
            .skip_model_validation(SkipModelValidation::None)
            // At most 36 characters. A request that is sent again registers nothing new.
            .client_token(token.as_str().get(..32).unwrap_or_default());
        let answer = self.sagemaker.wait(&call, request.send())?;
        let arn = answer.model_package_arn().unwrap_or_default();
        let version = arn.rsplit('/').next().and_then(|n| n.parse().ok()).ok_or_else(|| SageMakerError::Refused {
            action: call.action,
            what: call.what.clone(),
            reason: format!("AWS answered with '{arn}', which ends with no version"),
        })?;
        Ok(self.receipt(version, what.status, known.model_hash, true))
    }

    fn receipt(&self, version: u32, status: kidu_pipeline::Status, model_hash: Sha256Hex, new: bool) -> Receipt {
        Receipt { group: self.group.clone(), version, status, model_hash, new }
    }

    /// Uploads below a folder that is named by the content: the same bundle comes to the same place.
    fn upload(&self, publication: &Publication, what: &Registration<'_>, known: &Known) -> Result<Uploaded> {
        let folder = format!("{}/{}-{}", self.group, known.model_hash.short(), known.evaluation_hash.short());
        let place = ObjectUri::parse(&publication.place)?.join(&folder);
        let store = S3Store::open_with(&self.sagemaker.aws, &place)?;
        let work =
            tempfile::tempdir().map_err(|e| kidu_core::Error::io("make a folder in", std::env::temp_dir(), e))?;
        let archive = work.path().join("model.tar.gz");
        Bundle::open(what.bundle)?.pack(&archive)?;
        store.put_file("model.tar.gz", &archive, &PutOptions::default())?;
        store.put_file("evaluation.json", what.evaluation, &PutOptions::default())?;
        for file in what.attachments {
            let name = file.file_name().and_then(|n| n.to_str());
            let name = name.ok_or_else(|| kidu_core::Error::format(file, "has no file name to keep"))?;
            store.put_file(name, file, &PutOptions::default())?;
        }
        let at = |name: &str| place.join(name).to_string();
        Ok(Uploaded { model: at("model.tar.gz"), evaluation: at("evaluation.json") })
    }
}

fn inference(publication: &Publication, uploaded: &Uploaded) -> InferenceSpecification {
    let container =
        ModelPackageContainerDefinition::builder().image(&publication.image).model_data_url(&uploaded.model).build();
    let types = publication.instances.iter().map(|t| ProductionVariantInstanceType::from(t.as_str()));
    InferenceSpecification::builder()
        .containers(container)
        .set_supported_content_types(Some(
            ["image/jpeg", "image/png", "image/webp", "application/json"].map(str::to_owned).to_vec(),
        ))
        .supported_response_mime_types("application/json")
        .set_supported_realtime_inference_instance_types(Some(types.collect()))
        .build()
}

fn quality(uploaded: &Uploaded) -> ModelMetrics {
    let statistics = MetricsSource::builder().content_type("application/json").s3_uri(&uploaded.evaluation).build();
    ModelMetrics::builder().model_quality(ModelQuality::builder().statistics(statistics).build()).build()
}
